import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type TestEngine, openTestEngine } from '@opencode-tools/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Engine } from '../engine/engine.ts';
import { scriptRequest } from './layer-requests.ts';
import { LayerVolume } from './layer-volume.ts';

const run = promisify(execFile);

let testEngine: TestEngine;
beforeAll(async () => {
  testEngine = await openTestEngine();
});
afterAll(async () => {
  await testEngine.close();
});

test('of requests that come at once one starts the helper', async () => {
  const engine = new Engine(process.env);
  const { homeId, imageId } = testEngine;
  const volume = `oct-test-${homeId.slice(-10)}-helpers`;
  const layers = new LayerVolume(engine, { homeId, toolImages: [imageId], volume, kind: 'layers' });
  try {
    const said = await Promise.all(
      ['one', 'two', 'three'].map(async (word) => layers.ask(scriptRequest(`echo ${word}`))),
    );
    expect(said.map(String)).toEqual(['one\n', 'two\n', 'three\n']);
    const { client } = await engine.find();
    const filters = JSON.stringify({ label: [`io.opencode-tools.home=${homeId}`], volume: [volume] });
    expect(await client.call({ method: 'GET', path: '/containers/json', query: { filters } })).toHaveLength(1);
  } finally {
    await layers.remove();
  }
});

test('directories that are wanted at once are made by one call, and later ones by another', async () => {
  const engine = new Engine(process.env);
  const { homeId, imageId } = testEngine;
  const volume = `oct-test-${homeId.slice(-10)}-directories`;
  const layers = new LayerVolume(engine, { homeId, toolImages: [imageId], volume, kind: 'layers' });
  try {
    const since = Date.now();
    const root = { mode: 0o2750, uid: 7, gid: 8 };
    await Promise.all([
      layers.makeDirectories([{ path: 'one' }, { path: 'one/d', root }]),
      layers.makeDirectories([{ path: 'two' }]),
    ]);
    await layers.makeDirectories([{ path: 'one/later' }]);
    const said = await layers.ask(scriptRequest("stat -c '%n %a %u %g' one one/d one/later two"));
    expect(said.toString().trim().split('\n')).toEqual([
      'one 755 0 0',
      'one/d 2750 7 8',
      'one/later 755 0 0',
      'two 755 0 0',
    ]);
    const filters = [`label=io.opencode-tools.home=${homeId}`, 'label=io.opencode-tools.kind=helper', 'event=create'];
    const between = ['--since', String(since / 1_000), '--until', String(Date.now() / 1_000)];
    const words = ['events', ...between, '--format', 'made', ...filters.flatMap((filter) => ['--filter', filter])];
    expect((await run('docker', words)).stdout).toBe('made\nmade\n');
  } finally {
    await layers.remove();
  }
});
