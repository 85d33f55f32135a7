import { chownSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OpenHome } from '@opencode-tools/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestHome, createTestHome, tester as call } from './support/test-home.ts';

const image = 'opencode-sandbox-base';
let home: TestHome;
let open: OpenHome;
let base: string;

beforeAll(async () => {
  home = await createTestHome();
  open = await home.open();
  await open.images.build(image);
  base = realpathSync(mkdtempSync(join(tmpdir(), 'oct-odd-')));
});
afterAll(async () => {
  await open.close();
  await home.remove();
  rmSync(base, { recursive: true, force: true });
});

test.each([
  'a b',
  'line\nbreak',
  'a\ttab',
  'com,ma',
  'co:lon',
  'back\\slash',
  '\\012',
  `quo'te"s`,
  'ünï-日本',
  '#$(x)`;&*?',
  '-n',
  'bell\u0007',
  'end ',
])('a bind workspace at %j is worked in, and comes back from a checkpoint', async (name) => {
  const project = join(base, name);
  mkdirSync(join(project, 'src'), { recursive: true });
  writeFileSync(join(project, 'src/file'), 'from the host\n');
  for (const path of ['', 'src', 'src/file'])
    if (process.getuid?.() === 0) chownSync(join(project, path), 4_321, 5_432);
  const workspace = { kind: 'bind', path: project } as const;
  const { id } = await open.services.tasks.create({ title: 'odd', image, workspace }, call);
  const sh = async (script: string): Promise<string> => {
    const command = { kind: 'script', script } as const;
    return (await open.services.executions.run(id, { command }, call)).stdout.text;
  };
  expect(await sh('cat src/file; pwd; touch .git/x 2>/dev/null || echo kept')).toBe(
    `from the host\n${project}\nkept\n`,
  );
  const { id: checkpoint } = await open.services.checkpoints.create(id, { name: 'first' }, call);
  await sh('echo changed >src/file');
  expect(readFileSync(join(project, 'src/file'), 'utf8')).toBe('changed\n');
  await open.services.checkpoints.restore(id, checkpoint, {}, call);
  expect(await sh('cat src/file')).toBe('from the host\n');
  await open.services.tasks.delete(id, {}, call);
});
