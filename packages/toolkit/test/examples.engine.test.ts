import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { openHome } from '../src/index.ts';

const runFile = promisify(execFile);
const root = fileURLToPath(new URL('../../../', import.meta.url));
// Without a registry the image is made from Debian packages, once.
const buildLimitMs = 600_000;

beforeAll(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'oct-examples-'));
  const home = await openHome({ home: directory, cwd: directory, environment: process.env });
  await home.images.build('opencode-sandbox-base');
  await home.close();
  await rm(directory, { recursive: true, force: true });
}, buildLimitMs);

test('the example that embeds the toolkit creates, runs, checkpoints and forks', async () => {
  const args = ['--conditions=@opencode-tools/source', 'examples/embed-core/embed.mjs'];
  const { stdout } = await runFile(process.execPath, args, { cwd: root });
  expect(stdout.split('\n').slice(0, 3)).toEqual([
    'exit 0, 3 lines',
    expect.stringContaining('checkpoint three'),
    'fork: 4 lines, first task: 3 lines',
  ]);
  expect(stdout).toMatch(/ledger intact, \d+ records/);
});

test('the example that listens hears events in order, and those of another process by a cursor', async () => {
  const args = ['--conditions=@opencode-tools/source', 'examples/embed-core/events.mjs'];
  const { stdout } = await runFile(process.execPath, args, { cwd: root });
  expect(stdout.trim().split('\n')).toEqual([
    'heard note.added, todo.added in 5 tries',
    'mail did not take decision.recorded in 3 tries: Unexpected failure: the mail server is down',
    'note.added by embedder',
    'decision.recorded by embedder',
    'todo.added by embedder',
    'note.added by other',
  ]);
});
