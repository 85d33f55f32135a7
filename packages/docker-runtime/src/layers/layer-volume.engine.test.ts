import { type TestEngine, openTestEngine } from '@opencode-tools/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Engine } from '../engine/engine.ts';
import { scriptRequest } from './layer-requests.ts';
import { LayerVolume } from './layer-volume.ts';

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
