import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type TestHome, createTestHome, tester as call } from './support/test-home.ts';

const run = promisify(execFile);
const packageDirectory = fileURLToPath(new URL('..', import.meta.url));

let home: TestHome;
beforeEach(async () => void (home = await createTestHome()));
afterEach(async () => home.remove());

/** A process that opens the home, does one thing, closes it, and has nothing else to do. */
const once = `
  import { openHome } from '@opencode-tools/toolkit';
  const [, home, checkpoint] = process.argv;
  const open = await openHome({ home, cwd: home, environment: process.env });
  const { id } = await open.services.checkpoints.verify(checkpoint);
  await open.close();
  process.stdout.write(id);
`;

test('a process that only read layers has nothing open once its home is closed', async () => {
  const open = await home.open();
  const { id } = await open.services.tasks.create({ title: 'closing', image: home.image }, call);
  await open.services.executions.run(id, { command: { kind: 'script', script: 'echo work >file' } }, call);
  const checkpoint = await open.services.checkpoints.create(id, { name: 'point' }, call);
  await open.close();
  const args = [
    '--conditions=@opencode-tools/source',
    '--input-type=module',
    '-e',
    once,
    home.directory,
    checkpoint.id,
  ];
  const { stdout } = await run(process.execPath, args, { cwd: packageDirectory, timeout: 30_000 });
  expect(stdout).toBe(checkpoint.id);
}, 60_000);
