import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createIds, shortId, systemClock } from '@opencode-tools/core';
import { openTestEngine } from '@opencode-tools/testkit';
import { expect, test } from 'vitest';
import { openRuntime } from '../../test/open-runtime.ts';
import { Engine } from '../engine/engine.ts';

const run = promisify(execFile);
const docker = async (...argv: readonly string[]): Promise<string> => (await run('docker', [...argv])).stdout.trim();

test('a gateway starts although another process has just made a second uplink', async () => {
  const engine = await openTestEngine();
  const { runtime } = openRuntime(engine.homeId);
  const directory = mkdtempSync(join(tmpdir(), 'oct-uplinks-'));
  chmodSync(directory, 0o755);
  mkdirSync(join(directory, 'out'));
  writeFileSync(join(directory, 'gateway.mjs'), 'setInterval(() => {}, 1_000_000);');
  const user = { uid: 1000, gid: 1000 };
  const plan = { directory, argv: ['/egress/gateway.mjs'], user, version: 'first', image: null };
  const home = `io.opencode-tools.home=${engine.homeId}`;
  const sandbox = await docker('run', '-d', '--network', 'none', '--label', home, engine.imageId, 'sleep', '1000000');
  const task = createIds(systemClock).next('task');
  const networks = runtime.networks;
  try {
    await networks?.attach(task, sandbox, plan);
    await docker('stop', '-t', '0', `oct-gateway-${shortId(engine.homeId)}`);
    const Labels = { 'io.opencode-tools.home': engine.homeId, 'io.opencode-tools.kind': 'uplink' };
    const body = { Name: `oct-uplink-${shortId(engine.homeId)}`, CheckDuplicate: false, Labels };
    await (await new Engine(process.env).client()).call({ method: 'POST', path: '/networks/create', body });
    await networks?.attach(task, sandbox, plan);
    expect((await networks?.list())?.map(({ kind }) => kind).sort()).toEqual(['gateway', 'network', 'uplink']);
  } finally {
    await networks?.detach(task, sandbox);
    await docker('rm', '-f', sandbox);
    await runtime.close();
    rmSync(directory, { recursive: true });
    await engine.close();
  }
});
