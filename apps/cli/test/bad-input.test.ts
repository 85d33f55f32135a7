import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cli, type RunOptions, openCli } from './run-bin.ts';

interface Failure {
  readonly error: { readonly code: string; readonly message: string; readonly remedy: string; readonly family: string };
}

let cli: Cli;
let files: string;
let taskId: string;

beforeAll(async () => {
  cli = await openCli();
  files = await mkdtemp(join(tmpdir(), 'oct-cli-files-'));
  await writeFile(join(files, 'file'), 'x');
  taskId = (
    await cli.json<{ task: { id: string } }>(
      ['create-task', 'present', '--image', `sha256:${'0'.repeat(64)}`],
      noEngine,
    )
  ).task.id;
});

afterAll(async () => {
  await cli[Symbol.asyncDispose]();
  await rm(files, { recursive: true, force: true });
});

const noEngine: RunOptions = { env: { DOCKER_HOST: 'unix:///nowhere/docker.sock' } };

/** Expects one JSON error on stderr, nothing on stdout, and nothing half-made. */
async function expectFailure(argv: readonly string[], code: string, exitCode: number, options: RunOptions = noEngine) {
  const ran = await cli.run([...argv, '--json'], options);
  expect(ran).toMatchObject({ code: exitCode, stdout: '' });
  const { error } = JSON.parse(ran.stderr) as Failure;
  expect(error).toMatchObject({ code, message: expect.stringMatching(/\S/), remedy: expect.stringMatching(/\S/) });
  return error;
}

describe('a task that is not there', () => {
  test.each(['nope', '00000000', 'tsk_00000000000000000000000000', 'tsk_bad', '../../etc', 'tsk_../../../etc/passwd'])(
    '%j is not found',
    async (reference) => {
      await expectFailure(['stop', reference], 'OCT_TASK_NOT_FOUND', 3);
    },
  );
});

test.each([
  [['stop', 'present', '--session', '../../x']],
  [['detach', 'ses_../../../../etc']],
  [['task-executions', 'present', '--output', '../../registry.db']],
  [['todo', 'done', 'present', '../1']],
])('%j has a bad id and is refused', async (argv) => {
  await expectFailure(argv, 'OCT_INVALID_ARGUMENT', 2);
});

test('a checkpoint that is named like a path is not found', async () => {
  await expectFailure(['restore-checkpoint', 'present', '../../x'], 'OCT_CHECKPOINT_NOT_FOUND', 3);
});

test.each([
  ['of 100 kB', 'x'.repeat(100_000)],
  ['that is empty', ''],
  ['of two lines', 'a\nb'],
])('a title %s is refused', async (_what, title) => {
  const error = await expectFailure(['create-task', title], 'OCT_INVALID_ARGUMENT', 2);
  expect(error.message.length).toBeLessThan(300);
});

describe('a workspace path', () => {
  test.each(['--directory', '--bind', '--git'])('that does not exist is refused by %s', async (option) => {
    await expectFailure(['create-task', 'x', option, join(files, 'nothing')], 'OCT_INVALID_ARGUMENT', 2);
  });

  test.each(['--directory', '--bind', '--git'])('that is a file is refused by %s', async (option) => {
    await expectFailure(['create-task', 'x', option, join(files, 'file')], 'OCT_INVALID_ARGUMENT', 2);
  });

  test('that is no repository is refused by --git', async () => {
    await expectFailure(['create-task', 'x', '--git', files], 'OCT_INVALID_ARGUMENT', 2);
  });
});

test('an engine that is down fails what needs it, and nothing else', async () => {
  const error = await expectFailure(['exec', 'present', '--', 'true'], 'OCT_ENGINE_UNAVAILABLE', 125);
  expect(error.message).toContain('unix:///nowhere/docker.sock');
  await expectFailure(['images', 'list'], 'OCT_ENGINE_UNAVAILABLE', 6);
  expect(await cli.run(['doctor'], noEngine)).toMatchObject({
    code: 6,
    stdout: expect.stringContaining('No Docker Engine answers'),
  });
  expect(await cli.json(['todo', 'add', 'present', 'later'], noEngine)).toMatchObject({ todo: { state: 'open' } });
});

describe('a configuration file', () => {
  test('with a wrong key is refused, naming file and key', async () => {
    const file = join(files, 'wrong.yaml');
    await writeFile(file, 'limits:\n  memry: 1g\n');
    const error = await expectFailure(['list-tasks', '--config', file], 'OCT_INVALID_CONFIG', 2);
    expect(error.message).toContain(file);
    expect(error.message).toContain('memry');
  });

  test('that does not exist is refused', async () => {
    await expectFailure(['list-tasks', '--config', join(files, 'none.yaml')], 'OCT_INVALID_CONFIG', 2);
  });
});

describe('a home', () => {
  test('that is a file is refused', async () => {
    await expectFailure(['list-tasks', '--home', join(files, 'file')], 'OCT_STORE_UNAVAILABLE', 6);
  });

  test('that cannot be written reads, and refuses changes', async () => {
    await using readOnly = await openCli();
    await readOnly.json(['create-task', 'kept', '--image', `sha256:${'0'.repeat(64)}`], noEngine);
    await setModes(readOnly.home, 0o555, 0o444);
    const under = withoutOverride();
    const refused = await readOnly.run(['create-task', 'new', '--json'], { ...noEngine, under });
    const listed = await readOnly.json<{ tasks: object[] }>(['list-tasks'], { ...noEngine, under });
    await setModes(readOnly.home, 0o755, 0o644);
    expect(refused).toMatchObject({ code: 6, stdout: '' });
    expect(JSON.parse(refused.stderr)).toMatchObject({ error: { code: 'OCT_STORE_READ_ONLY' } });
    expect(listed.tasks).toHaveLength(1);
  });

  test('whose registry a newer version wrote is refused', async () => {
    await using newer = await openCli();
    const { latestSchemaVersion } = await newer.json<{ latestSchemaVersion: number }>(['db', 'status'], noEngine);
    pretendNewer(join(newer.home, 'registry.db'), latestSchemaVersion + 1);
    const ran = await newer.run(['list-tasks', '--json'], noEngine);
    expect(ran).toMatchObject({ code: 6, stdout: '' });
    expect(JSON.parse(ran.stderr)).toMatchObject({
      error: { code: 'OCT_SCHEMA_TOO_NEW', remedy: expect.stringContaining('Upgrade') },
    });
  });
});

test('all this left one task, one record of it besides the todo, and a ledger that fits', async () => {
  const { tasks } = await cli.json<{ tasks: { id: string }[] }>(['list-tasks'], noEngine);
  expect(tasks.map(({ id }) => id)).toEqual([taskId]);
  const { records } = await cli.json<{ records: { type: string }[] }>(
    ['task-history', 'present', '--oldest-first'],
    noEngine,
  );
  expect(
    records.filter(({ type }) => /^(task|todo|sandbox|checkpoint|execution)\./.test(type)).map(({ type }) => type),
  ).toEqual(expect.arrayContaining(['task.created', 'todo.added']));
  expect(await cli.json(['verify'], noEngine)).toMatchObject({ ok: true });
});

async function setModes(directory: string, directoryMode: number, fileMode: number): Promise<void> {
  await chmod(directory, 0o755);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await setModes(path, directoryMode, fileMode);
    else await chmod(path, fileMode);
  }
  await chmod(directory, directoryMode);
}

/** Root may write what nobody may; without this capability it may not. */
function withoutOverride(): readonly string[] {
  return process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override', '--inh-caps=-dac_override'] : [];
}

function pretendNewer(file: string, version: number): void {
  const database = new Database(file);
  database.prepare('update meta set schema_version = ?').run(version);
  database.close();
}
