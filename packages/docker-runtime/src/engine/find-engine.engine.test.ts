import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type EngineProxy, openEngineProxy } from '@opencode-tools/testkit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Engine } from './engine.ts';

const standard = '/var/run/docker.sock';
const whyNoNamespace =
  process.getuid?.() === 0 && spawnSync('unshare', ['--mount', 'true']).status === 0
    ? undefined
    : 'needs root, to be without the sockets of the host';
const say = (why: string | undefined): string => (why === undefined ? '' : ` (not run: ${why})`);

let engine: EngineProxy;
let root: string;
let environment: { readonly HOME: string; readonly XDG_RUNTIME_DIR: string };
beforeEach(async () => {
  engine = await openEngineProxy();
  root = mkdtempSync(join(tmpdir(), 'oct-find-'));
  environment = { HOME: join(root, 'home'), XDG_RUNTIME_DIR: join(root, 'run') };
});
afterEach(async () => {
  await engine.close();
  rmSync(root, { recursive: true });
});

/** Has the engine answer at a path. */
function serve(path: string): string {
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(engine.endpoint.replace('unix://', ''), path);
  return `unix://${path}`;
}

function addContext(name: string, host: string): void {
  const docker = join(environment.HOME, '.docker');
  const directory = join(docker, 'contexts/meta', createHash('sha256').update(name).digest('hex'));
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'meta.json'), JSON.stringify({ Name: name, Endpoints: { docker: { Host: host } } }));
  writeFileSync(join(docker, 'config.json'), JSON.stringify({ currentContext: name }));
}

const origin = async (more: Readonly<Record<string, string>> = {}, endpoint?: string): Promise<string> =>
  (await new Engine({ ...environment, ...more }, endpoint).find()).endpoint.origin;

describe('an engine that answers at several places', () => {
  test('is taken where this process was told, then where the docker command is, then without root', async () => {
    const rootless = serve(join(environment.XDG_RUNTIME_DIR, 'docker.sock'));
    expect(await origin()).toBe('rootless Docker');
    addContext('away', serve(join(root, 'context.sock')));
    expect(await origin()).toBe('context away');
    expect(await origin({ DOCKER_CONTEXT: 'default' })).toBe('rootless Docker');
    expect(await origin({ DOCKER_CONTEXT: 'default', DOCKER_HOST: rootless })).toBe('DOCKER_HOST');
    expect(await origin({ DOCKER_HOST: 'unix:///nowhere' }, rootless)).toBe('configuration');
    await expect(origin({ DOCKER_CONTEXT: 'unknown' })).rejects.toMatchObject({ code: 'OCT_ENGINE_UNAVAILABLE' });
    rmSync(join(root, 'context.sock'));
    expect(await origin()).toBe('rootless Docker');
    if (!existsSync(standard)) return;
    rmSync(join(environment.XDG_RUNTIME_DIR, 'docker.sock'));
    expect(await origin()).toBe('default socket');
  });

  test.skipIf(whyNoNamespace)(`is found at each in turn, and then each is told of${say(whyNoNamespace)}`, async () => {
    const { HOME, XDG_RUNTIME_DIR } = environment;
    for (const name of ['run/docker.sock', 'desktop/docker.sock']) serve(join(HOME, '.docker', name));
    for (const name of ['default/docker.sock', 'docker.sock']) serve(join(HOME, '.colima', name));
    for (const name of ['docker.sock', 'podman/podman.sock']) serve(join(XDG_RUNTIME_DIR, name));
    addContext('away', serve(join(root, 'context.sock')));
    mkdirSync(join(root, 'empty'));
    const child = fileURLToPath(new URL('../../test/find-engine.mts', import.meta.url));
    const node = [process.execPath, '--conditions=@opencode-tools/source', child, JSON.stringify(environment)];
    const script = 'mount --bind "$1" /run && shift && exec "$@"';
    const argv = ['--mount', 'sh', '-c', script, 'sh', join(root, 'empty'), ...node];
    const { stdout, stderr } = await promisify(execFile)('unshare', argv);
    expect(stderr).toBe('');
    const { found, failure } = JSON.parse(stdout) as { found: string[]; failure: string };
    expect(found).toEqual([
      'context away',
      'rootless Docker',
      'Docker Desktop',
      'Docker Desktop',
      'Colima',
      'Colima',
      'Podman, rootless',
    ]);
    const told = failure
      .split('\n')
      .slice(1)
      .map((line) => line.replace(/^.*\((.*)\): /, '$1: '));
    expect(told).toHaveLength(9);
    expect(new Set(told.map((line) => line.split(': ')[1]))).toEqual(new Set(['no such socket']));
  });
});
