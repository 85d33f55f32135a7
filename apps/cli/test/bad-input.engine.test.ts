import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestEngine, openTestEngine } from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cli, type RunOptions, openCli } from './run-bin.ts';

interface Failure {
  readonly error: { readonly code: string; readonly message: string; readonly remedy: string; readonly family: string };
}

let cli: Cli;
let files: string;
let taskId: string;

let engine: TestEngine;

beforeAll(async () => {
  engine = await openTestEngine();
  cli = await openCli();
  files = await mkdtemp(join(tmpdir(), 'oct-cli-files-'));
  await writeFile(join(files, 'file'), 'x');
  taskId = await createTask(cli, 'present');
});

afterAll(async () => {
  await cli[Symbol.asyncDispose]();
  await rm(files, { recursive: true, force: true });
  await engine.close();
});

const noEngine: RunOptions = { env: { DOCKER_HOST: 'unix:///nowhere/docker.sock' } };

async function createTask(where: Cli, title: string): Promise<string> {
  const { task } = await where.json<{ task: { id: string } }>(['create-task', title, '--image', engine.imageId]);
  return task.id;
}

/** Runs with `--json` what must fail, and gives the error with what else was seen. */
async function fail(argv: readonly string[], options: RunOptions = noEngine) {
  const { code: exitCode, stdout, stderr } = await cli.run(['--json', ...argv], options);
  const { error } = JSON.parse(stderr) as Failure;
  return { exitCode, stdout, ...error };
}

/** A failure with words for people, and nothing on stdout. */
function failure(code: string, exitCode: number) {
  const words = expect.stringMatching(/\S/);
  return { exitCode, stdout: '', code, message: words, remedy: words };
}

describe('a task that is not there', () => {
  test.each(['nope', '00000000', 'tsk_00000000000000000000000000'])('%j is not found', async (reference) => {
    expect(await fail(['stop', reference])).toMatchObject(failure('OCT_TASK_NOT_FOUND', 3));
  });
});

test.each([
  [['stop', 'tsk_bad']],
  [['stop', '../../etc']],
  [['task-history', 'tsk_../../../etc/passwd']],
  [['stop', 'present', '--session', '../../x']],
  [['detach', 'ses_../../../../etc']],
  [['task-executions', 'present', '--output', '../../registry.db']],
  [['todo', 'done', 'present', '../1']],
])('%j has a bad id and is refused', async (argv) => {
  expect(await fail(argv)).toMatchObject(failure('OCT_INVALID_ARGUMENT', 2));
});

test('a checkpoint that is named like a path is not found', async () => {
  expect(await fail(['restore-checkpoint', 'present', '../../x'])).toMatchObject(
    failure('OCT_CHECKPOINT_NOT_FOUND', 3),
  );
});

test.each([
  ['of 100 kB', 'x'.repeat(100_000)],
  ['that is empty', ''],
  ['of two lines', 'a\nb'],
])('a title %s is refused', async (_what, title) => {
  const error = await fail(['create-task', title, '--image', engine.imageId], {});
  expect(error).toMatchObject(failure('OCT_INVALID_ARGUMENT', 2));
  expect(error.message.length).toBeLessThan(300);
});

describe('a workspace path', () => {
  test.each(['--directory', '--bind', '--git'])('that does not exist is refused by %s', async (option) => {
    expect(
      await fail(['create-task', 'x', '--image', engine.imageId, option, join(files, 'nothing')], {}),
    ).toMatchObject(failure('OCT_INVALID_ARGUMENT', 2));
  });

  test.each(['--directory', '--bind', '--git'])('that is a file is refused by %s', async (option) => {
    expect(await fail(['create-task', 'x', '--image', engine.imageId, option, join(files, 'file')], {})).toMatchObject(
      failure('OCT_INVALID_ARGUMENT', 2),
    );
  });

  test('that is no repository is refused by --git', async () => {
    expect(await fail(['create-task', 'x', '--image', engine.imageId, '--git', files], {})).toMatchObject(
      failure('OCT_INVALID_ARGUMENT', 2),
    );
  });
});

test('an engine that is down fails what needs it, and nothing else', async () => {
  const error = await fail(['exec', 'present', '--', 'true']);
  expect(error).toMatchObject(failure('OCT_ENGINE_UNAVAILABLE', 125));
  expect(error.message).toContain('unix:///nowhere/docker.sock');
  expect(await fail(['images', 'list'])).toMatchObject(failure('OCT_ENGINE_UNAVAILABLE', 6));
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
    const error = await fail(['list-tasks', '--config', file]);
    expect(error).toMatchObject(failure('OCT_INVALID_CONFIG', 2));
    expect(error.message).toContain(file);
    expect(error.message).toContain('memry');
  });

  test('that does not exist is refused', async () => {
    expect(await fail(['list-tasks', '--config', join(files, 'none.yaml')])).toMatchObject(
      failure('OCT_INVALID_CONFIG', 2),
    );
  });
});

describe('a home', () => {
  test('that is a file is refused', async () => {
    expect(await fail(['list-tasks', '--home', join(files, 'file')])).toMatchObject(
      failure('OCT_STORE_UNAVAILABLE', 6),
    );
  });

  test('that cannot be written reads, and refuses changes', async () => {
    await using readOnly = await openCli();
    await createTask(readOnly, 'kept');
    await setModes(readOnly.home, 0o555, 0o444);
    const under = withoutOverride();
    const refused = await readOnly.run(['create-task', 'new', '--image', engine.imageId, '--json'], { under });
    const listed = await readOnly.json<{ tasks: object[] }>(['list-tasks'], { ...noEngine, under });
    await setModes(readOnly.home, 0o755, 0o644);
    expect(refused).toMatchObject({ code: 6, stdout: '' });
    expect(JSON.parse(refused.stderr)).toMatchObject({ error: { code: 'OCT_STORE_READ_ONLY' } });
    expect(listed.tasks).toHaveLength(1);
  });

  test('whose registry a newer version wrote is refused', async () => {
    await using newer = await openCli();
    await newer.json(['list-tasks'], noEngine);
    const { latestSchemaVersion } = await newer.json<{ latestSchemaVersion: number }>(['db', 'status'], noEngine);
    pretendNewer(join(newer.home, 'registry.db'), latestSchemaVersion + 1);
    const ran = await newer.run(['list-tasks', '--json'], noEngine);
    expect(ran).toMatchObject({ code: 6, stdout: '' });
    expect(JSON.parse(ran.stderr)).toMatchObject({
      error: { code: 'OCT_SCHEMA_TOO_NEW', remedy: expect.stringContaining('Upgrade') },
    });
  });
});

test('all this left one task, no container, and a ledger that fits', async () => {
  const { tasks } = await cli.json<{ tasks: { id: string }[] }>(['list-tasks'], noEngine);
  expect(tasks.map(({ id }) => id)).toEqual([taskId]);
  expect(await cli.json(['verify'], noEngine)).toMatchObject({ ok: true });
  expect(await cli.json(['doctor'], {})).toMatchObject({ orphans: [], recovered: [] });
  expect(await cli.json(['cleanup-task', 'present'], {})).toMatchObject({
    receipt: { removed: { containers: 0, volumes: 0, networks: 0 } },
  });
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
  const database = new DatabaseSync(file);
  database.prepare('update meta set schema_version = ?').run(version);
  database.close();
}
