import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openTestEngine } from '@opencode-tools/testkit';
import { expect, test } from 'vitest';

const bin = fileURLToPath(new URL('../dist/bin.cjs', import.meta.url));
const guide = new URL('../../../docs/guide/working-together.md', import.meta.url);
const block = /<!-- terminal: (\w+)(?:, exit (\d+))? -->\n\n```sh\n([\s\S]*?)\n```/g;

test('the commands of the guide about working together do what it says', async () => {
  const engine = await openTestEngine();
  const directory = await mkdtemp(join(tmpdir(), 'oct-guide-'));
  const command = join(directory, 'opencode-tools');
  await writeFile(command, `#!/bin/sh\nexec '${process.execPath}' '${bin}' "$@"\n`);
  await chmod(command, 0o755);
  const env = {
    HOME: directory,
    PATH: `${directory}:${process.env['PATH']}`,
    OPENCODE_TOOLS_HOME: join(directory, 'home'),
    OPENCODE_TOOLS_IMAGE: engine.imageId,
    ...(process.env['DOCKER_HOST'] === undefined ? {} : { DOCKER_HOST: process.env['DOCKER_HOST'] }),
  };
  /** A terminal keeps what was exported in it. */
  const run = (terminal: string, script: string) =>
    new Promise<{ readonly code: number; readonly said: string }>((resolve) => {
      const state = join(directory, `${terminal}.env`);
      const text = `set -e -o pipefail; touch ${state}; . ${state}; trap 'export -p >${state}' EXIT\n${script}`;
      const child = execFile('bash', ['-c', text], { env, cwd: directory }, (_error, stdout, stderr) =>
        resolve({ code: child.exitCode ?? -1, said: stdout + stderr }),
      );
    });
  const blocks = [...(await readFile(guide, 'utf8')).matchAll(block)];
  expect(blocks).toHaveLength(10);
  for (const [, terminal = '', code = '0', script = ''] of blocks) {
    const ran = await run(terminal, script);
    expect(ran.code, `${script}\n${ran.said}`).toBe(Number(code));
  }
  const { said } = await run('bob', 'opencode-tools task-history "Two languages"');
  for (const type of ['claim.conflicted', 'claim.granted', 'todo.changed', 'todo.conflicted'])
    expect(said).toContain(type);
  await rm(directory, { recursive: true, force: true });
  await engine.close();
});
