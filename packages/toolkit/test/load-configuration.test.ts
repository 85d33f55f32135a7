import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { OpencodeToolsError } from '@opencode-tools/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ConfigurationOptions, loadConfiguration } from '../src/configuration/load-configuration.ts';

let root: string;
let count = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'oct-config-'));
});

afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

interface Files {
  readonly project?: string;
  readonly user?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

async function arrange({ project, user, environment }: Files): Promise<ConfigurationOptions> {
  count += 1;
  const cwd = join(root, `project-${count}`);
  const config = join(root, `config-${count}`);
  await mkdir(join(cwd, '.git'), { recursive: true });
  if (project !== undefined) await put(join(cwd, '.opencode', 'opencode-tools.yaml'), project);
  if (user !== undefined) await put(join(config, 'opencode-tools', 'opencode-tools.yaml'), user);
  return { cwd, environment: { HOME: root, XDG_CONFIG_HOME: config, ...environment }, platform: 'linux' };
}

async function put(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}

async function failure(files: Files): Promise<OpencodeToolsError> {
  const error = await loadConfiguration(await arrange(files)).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(OpencodeToolsError);
  return error as OpencodeToolsError;
}

describe('a variable of ours that nobody knows', () => {
  const noticesOf = async (files: Files) => (await loadConfiguration(await arrange(files))).notices;

  test('counts for nothing, and is told with the one that was meant', async () => {
    const environment = { OPENCODE_TOOLS_LIMITS_MEMROY: '1g', OPENCODE_TOOLS_SESION: 'x', OPENCODE_TOOLS_UNSETT: '' };
    expect(await noticesOf({ environment })).toEqual([
      {
        message: 'The environment variable OPENCODE_TOOLS_LIMITS_MEMROY is not known, and counts for nothing',
        remedy: 'Did you mean OPENCODE_TOOLS_LIMITS_MEMORY?',
        likely: true,
      },
      {
        message: 'The environment variable OPENCODE_TOOLS_SESION is not known, and counts for nothing',
        remedy: 'Did you mean OPENCODE_TOOLS_SESSION?',
        likely: true,
      },
    ]);
  });

  test('may be of somebody else when none is like it', async () => {
    const environment = { OPENCODE_TOOLS_OF_MY_TEAM: 'x' };
    expect(await noticesOf({ environment })).toMatchObject([{ likely: false, remedy: expect.stringContaining('key') }]);
  });

  test('is known when the configuration refers to it', async () => {
    const environment = { OPENCODE_TOOLS_DATABASES: 'postgres://x/y', OPENCODE_TOOLS_SECRET: 'x' };
    const user = 'database: env:OPENCODE_TOOLS_DATABASES\nsecrets:\n  TOKEN: env:OPENCODE_TOOLS_SECRET\n';
    expect(await noticesOf({ environment, user })).toEqual([]);
  });

  test('is none of those that are read', async () => {
    expect(
      await noticesOf({ environment: { OPENCODE_TOOLS_LIMITS_MEMORY: '1g', OPENCODE_TOOLS_SESSION: 'x' } }),
    ).toEqual([]);
  });
});

describe('configuration', () => {
  test('has a default for every key', async () => {
    const configuration = await loadConfiguration(await arrange({}));
    expect(configuration).toEqual({
      home: join(root, '.local/share/opencode-tools'),
      database: 'sqlite',
      postgres: { tls: null, caFile: null, pool: 10 },
      retention: { backups: 10 },
      defaultImage: 'opencode-sandbox-base',
      images: {},
      checkpoints: {
        layers: true,
        packAfterMs: 7 * 86_400_000,
        retention: { maxPerTask: 200, keepDays: 0, thinAfterDays: 30, budgetBytes: 0, homeBudgetBytes: 0 },
        automatic: { onMajorTodo: true, onDetach: false, everyMs: 0, debounceMs: 60_000 },
      },
      egress: { authorities: null, image: null, nameServers: [] },
      policies: {},
      agentWork: 'branch',
      caches: {},
      cacheBudgetBytes: 20 * 1024 ** 3,
      secrets: {},
      engineEndpoint: null,
      limits: {
        memoryBytes: 2 * 1024 ** 3,
        cpus: 2,
        pids: 512,
        tmpBytes: 512 * 1024 ** 2,
        workspaceBytes: 20 * 1024 ** 3,
      },
      maxLimits: { memoryBytes: 16 * 1024 ** 3, cpus: 16, pids: 8_192 },
      monitor: { thresholds: { warning: 70, critical: 85, emergency: 95 }, intervalMs: 5_000 },
      pool: { size: 0, mode: 'running', idleMs: 600_000 },
      reaper: { intervalMs: 300_000, graceMs: 600_000 },
      requireLimits: true,
      mayMount: null,
      lease: { mode: 'exclusive', ttlMs: 900_000, maxAgents: 8 },
      exec: { timeoutMs: 600_000, outputLimitBytes: 32_768, outputMaxBytes: 1024 ** 3 },
      hooks: { branchCreator: false, planFile: false, safetyEnforcer: true },
      files: [],
      notices: [],
    });
  });

  test('takes each key from the environment, else the project, else the user', async () => {
    const options = await arrange({
      user: 'limits: {memory: 1g, cpus: 1, pids: 100}\n',
      project: 'limits:\n  memory: 512m\n  cpus: 1.5\nlease: { ttl: 90s }\n',
      environment: { OPENCODE_TOOLS_LIMITS_MEMORY: '256m', OPENCODE_TOOLS_HOOKS_PLAN_FILE: 'true' },
    });
    const configuration = await loadConfiguration(options);
    expect(configuration.limits).toMatchObject({ memoryBytes: 256 * 1024 ** 2, cpus: 1.5, pids: 100 });
    expect(configuration.lease.ttlMs).toBe(90_000);
    expect(configuration.hooks.planFile).toBe(true);
    expect(configuration.files).toHaveLength(2);
  });

  test('takes caches by where sandboxes have them, and two well-known ones by name', async () => {
    const user = 'caches: {npm: default, pip: default, cargo: /home/agent/.cargo/registry}\n';
    expect((await loadConfiguration(await arrange({ user }))).caches).toEqual({
      npm: '/home/agent/.npm',
      pip: '/home/agent/.cache/pip',
      cargo: '/home/agent/.cargo/registry',
    });
    for (const wrong of ['{go: default}', '{a: b}', '{a: /}', '{a: /workspace/x}', '{a: /x, b: /x/y}', '{A: /x}'])
      expect((await failure({ user: `caches: ${wrong}\n` })).code).toBe('OCT_INVALID_CONFIG');
    expect((await failure({ project: user })).message).toContain('caches');
  });

  test('takes secrets by where they are, from the user only, and never tells what is written in place of it', async () => {
    const user = 'secrets: {A: "env:TOKEN", B: "file:/run/b", C: {from: command, argv: [pass, show, c]}}\n';
    expect((await loadConfiguration(await arrange({ user }))).secrets).toEqual({
      A: { from: 'env', variable: 'TOKEN' },
      B: { from: 'file', path: '/run/b' },
      C: { from: 'command', argv: ['pass', 'show', 'c'] },
    });
    expect((await failure({ project: user })).message).toContain('secrets');
    for (const wrong of ['{A: "ghp-canary"}', '{A: "env:"}', '{A: "file:relative"}', '{"A B": "env:X"}', '[A]']) {
      const { code, message } = await failure({ user: `secrets: ${wrong}\n` });
      expect({ wrong, code }).toEqual({ wrong, code: 'OCT_INVALID_CONFIG' });
      expect(message).not.toContain('ghp-canary');
    }
    expect((await failure({ project: 'agents: {work: directory}\n' })).message).toContain('agents.work');
  });

  test('takes paths from the home directory of the user, and lists of them as the environment has them', async () => {
    const user = 'mounts: {allow: [~/work, /srv/a]}\npostgres: {ca: ~/ca.pem}\negress: {authorities: ~/more.pem}\n';
    expect(await loadConfiguration(await arrange({ user }))).toMatchObject({
      mayMount: [join(root, 'work'), '/srv/a'],
      postgres: { caFile: join(root, 'ca.pem') },
      egress: { authorities: join(root, 'more.pem') },
    });
    const environment = { OPENCODE_TOOLS_MOUNTS_ALLOW: '/srv/b:~/c' };
    expect((await loadConfiguration(await arrange({ user, environment }))).mayMount).toEqual([
      '/srv/b',
      join(root, 'c'),
    ]);
    expect((await failure({ project: 'mounts: {allow: [/]}\n' })).code).toBe('OCT_INVALID_CONFIG');
    expect((await failure({ user: 'mounts: {allow: [relative]}\n' })).message).toContain('mounts.allow');
  });

  test('takes images by name, of a base or a directory, and nothing that is neither', async () => {
    const user = `images:
  plain: debian:bookworm
  acme/dev: {context: ~/acme, dockerfile: sub/Dockerfile, setup: [make]}
  based: {base: 'opencode-sandbox-base', setup: ['a b', c]}
`;
    expect((await loadConfiguration(await arrange({ user }))).images).toEqual({
      plain: { base: 'debian:bookworm', setup: [] },
      'acme/dev': { context: join(root, 'acme'), dockerfile: 'sub/Dockerfile', setup: ['make'] },
      based: { base: 'opencode-sandbox-base', setup: ['a b', 'c'] },
    });
    const wrong = [
      '{}',
      '{base: a, context: /b}',
      '{context: b}',
      '{base: a, dockerfile: c}',
      '{base: a, setup: [""]}',
      '{base: a, x: 1}',
    ];
    for (const one of wrong) expect((await failure({ user: `images: {a: ${one}}\n` })).code).toBe('OCT_INVALID_CONFIG');
    for (const name of ['Upper', 'opencode-sandbox-base', 'a:1']) {
      expect((await failure({ user: `images: {'${name}': debian}\n` })).code).toBe('OCT_INVALID_CONFIG');
    }
    expect((await failure({ project: 'images: {a: debian}\n' })).code).toBe('OCT_INVALID_CONFIG');
  });

  test('finds the project file from a directory below, up to the top of the work tree', async () => {
    const options = await arrange({ project: 'defaultImage: example.org/a:1\n' });
    const below = join(options.cwd, 'a/b');
    await mkdir(below, { recursive: true });
    expect((await loadConfiguration({ ...options, cwd: below })).defaultImage).toBe('example.org/a:1');
    await mkdir(join(below, '.git'));
    expect((await loadConfiguration({ ...options, cwd: below })).defaultImage).toBe('opencode-sandbox-base');
  });

  test('does not look above the working directory outside of a work tree', async () => {
    const options = await arrange({ project: 'defaultImage: example.org/a:1\n' });
    await rm(join(options.cwd, '.git'), { recursive: true });
    const below = join(options.cwd, 'a');
    await mkdir(below);
    expect((await loadConfiguration({ ...options, cwd: below })).files).toEqual([]);
    expect((await loadConfiguration(options)).files).toHaveLength(1);
  });

  test('reads a named file in place of the project file, and misses it when it is absent', async () => {
    const options = await arrange({ project: 'requireLimits: false\n' });
    await put(join(options.cwd, 'own.yaml'), 'exec: { timeout: 2h }\n');
    const configuration = await loadConfiguration({ ...options, configFile: 'own.yaml' });
    expect(configuration).toMatchObject({ requireLimits: true, exec: { timeoutMs: 7_200_000 } });
    await expect(loadConfiguration({ ...options, configFile: 'none.yaml' })).rejects.toMatchObject({
      code: 'OCT_INVALID_CONFIG',
      details: { file: join(options.cwd, 'none.yaml') },
    });
  });

  test.each([
    ['', {}],
    ['# nothing\n', {}],
    ['limits:\n', {}],
  ])('accepts a file without values: %j', async (project, expected) => {
    await expect(loadConfiguration(await arrange({ project }))).resolves.toMatchObject(expected);
  });
});

describe('home directory', () => {
  const cases: readonly (readonly [string, Partial<ConfigurationOptions>, string])[] = [
    ['the option', { home: '/h/option', environment: { HOME: '/u', OPENCODE_TOOLS_HOME: '/h/env' } }, '/h/option'],
    ['the variable', { environment: { HOME: '/u', OPENCODE_TOOLS_HOME: '/h/env' } }, '/h/env'],
    [
      'the variable, relative to the working directory',
      { environment: { HOME: '/u', OPENCODE_TOOLS_HOME: 'h' } },
      '/w/h',
    ],
    ['the variable, below the user directory', { environment: { HOME: '/u', OPENCODE_TOOLS_HOME: '~/h' } }, '/u/h'],
    ['XDG_DATA_HOME', { environment: { HOME: '/u', XDG_DATA_HOME: '/d' } }, '/d/opencode-tools'],
    [
      'no relative XDG_DATA_HOME',
      { environment: { HOME: '/u', XDG_DATA_HOME: 'd' } },
      '/u/.local/share/opencode-tools',
    ],
    ['macOS', { environment: { HOME: '/u' }, platform: 'darwin' }, '/u/Library/Application Support/opencode-tools'],
    ['Windows', { environment: { LOCALAPPDATA: '/l' }, platform: 'win32' }, '/l/opencode-tools'],
  ];
  test.each(cases)('follows %s', async (_title, options, home) => {
    const configuration = await loadConfiguration({ cwd: '/w', environment: {}, platform: 'linux', ...options });
    expect(configuration.home).toBe(home);
  });

  test('follows the key home', async () => {
    expect((await loadConfiguration(await arrange({ user: 'home: ~/elsewhere\n' }))).home).toBe(
      join(root, 'elsewhere'),
    );
  });
});

describe('a wrong configuration', () => {
  test.each([
    ['defaultImgae: a', 'defaultImgae', 'Did you mean defaultImage?'],
    ['memory: 2g', 'memory', 'Did you mean limits.memory?'],
    ['limits: { memroy: 2g }', 'limits.memroy', 'Did you mean limits.memory?'],
    ['limits: { memory: lots }', 'limits.memory', 'such as 512m or 2g'],
    ['limits: { memory: 1m }', 'limits.memory', 'at least 32m'],
    ['limits: { cpus: 0 }', 'limits.cpus', 'a number from 0.1'],
    ['limits: { pids: 20.5 }', 'limits.pids', 'a whole number from 16'],
    ['limits: 5', 'limits', 'keys with values'],
    ['requireLimits: "yes"', 'requireLimits', 'true or false'],
    ['lease: { mode: shared }', 'lease.mode', 'exclusive or collaborative'],
    ['lease: { ttl: 15 minutes }', 'lease.ttl', 'such as 90s or 15m'],
    ['exec: { outputLimit: 2m }', 'exec.outputLimit', 'at most 1m'],
    ['hooks: { planFile: 1 }', 'hooks.planFile', 'true or false'],
    ['engine: { endpoint: localhost }', 'engine.endpoint', 'unix:///path'],
    ['database: mysql://a', 'database', 'sqlite, env:NAME of a variable with a postgres://'],
    ['home: relative/path', 'home', 'an absolute path'],
    ['- a', '', 'keys with values'],
    ['a: b: c', '', 'YAML'],
    ['home: &a /x\ndefaultImage: *a', '', 'without anchors'],
    ['home: /x\nhome: /y', '', 'YAML'],
  ])('%j is refused by file, key and accepted form', async (project, key, remedy) => {
    const error = await failure({ user: `${project}\n` });
    expect(error.code).toBe('OCT_INVALID_CONFIG');
    expect(error.details).toMatchObject({ file: expect.stringContaining('opencode-tools/opencode-tools.yaml'), key });
    expect(error.remedy).toContain(remedy);
  });

  test('in a project is refused by file, key and accepted form', async () => {
    const error = await failure({ project: 'limits: { memory: lots }\n' });
    expect(error.details).toMatchObject({ file: expect.stringContaining('.opencode/opencode-tools.yaml') });
    expect(error.details).toMatchObject({ key: 'limits.memory' });
  });

  test.each([
    ['home: /tmp/elsewhere', 'home', 'OPENCODE_TOOLS_HOME'],
    ['database: postgres://host/x', 'database', 'OPENCODE_TOOLS_DATABASE'],
    ['engine: { endpoint: "tcp://elsewhere:1" }', 'engine.endpoint', 'OPENCODE_TOOLS_ENGINE_ENDPOINT'],
    ['requireLimits: false', 'requireLimits', 'OPENCODE_TOOLS_REQUIRE_LIMITS'],
    ['postgres: { tls: disable }', 'postgres.tls', 'OPENCODE_TOOLS_POSTGRES_TLS'],
    ['exec: { maxOutput: 900g }', 'exec.maxOutput', 'OPENCODE_TOOLS_EXEC_MAX_OUTPUT'],
    ['hooks: { safetyEnforcer: false }', 'hooks.safetyEnforcer', 'OPENCODE_TOOLS_HOOKS_SAFETY_ENFORCER'],
    ['hooks: { branchCreator: true }', 'hooks.branchCreator', 'OPENCODE_TOOLS_HOOKS_BRANCH_CREATOR'],
    ['hooks: { planFile: true }', 'hooks.planFile', 'OPENCODE_TOOLS_HOOKS_PLAN_FILE'],
  ])('is one whose project decides %j about the host', async (text, key, variable) => {
    const error = await failure({ project: `${text}\n` });
    expect(error.message).toContain(`${key} is not for the file of a project`);
    expect(error.remedy).toContain(variable);
    expect(error.remedy).toMatch(/config-\d+\/opencode-tools\/opencode-tools\.yaml/);
    await expect(loadConfiguration(await arrange({ user: `${text}\n` }))).resolves.toMatchObject({});
    const named = await arrange({});
    await put(join(named.cwd, 'named.yaml'), `${text}\n`);
    await expect(loadConfiguration({ ...named, configFile: 'named.yaml' })).resolves.toMatchObject({});
  });

  test('in the environment is refused by variable', async () => {
    const error = await failure({ environment: { OPENCODE_TOOLS_LEASE_MAX_AGENTS: 'many' } });
    expect(error.message).toContain('environment variable OPENCODE_TOOLS_LEASE_MAX_AGENTS');
    expect(error.details).toMatchObject({ key: 'lease.maxAgents' });
  });

  test('never shows the address of a database, which may hold a password', async () => {
    const error = await failure({ user: 'database: mysql://user:secret@host/x\n' });
    expect(JSON.stringify(error)).not.toContain('secret');
  });
});
