import {
  type TestEngine,
  engineProbeContract,
  layerPortContract,
  networkPortContract,
  openTestEngine,
} from '@opencode-tools/testkit';
import { createIds, systemClock } from '@opencode-tools/core';
import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { pack } from 'tar-stream';
import { openRuntime } from '../test/open-runtime.ts';

const run = promisify(execFile);

/** As the runtime does: other containers that are just being started hold a copy of a mount that has gone. */
async function untilMounted<T>(act: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await act();
    } catch (error) {
      if (tries === 20 || !String(error).includes('device or resource busy')) throw error;
      await delay(250);
    }
  }
}

async function docker(...argv: readonly string[]): Promise<string> {
  return (await run('docker', [...argv])).stdout.trim();
}

engineProbeContract('Docker', async () => {
  const engine = await openTestEngine();
  const working = openRuntime(engine.homeId);
  const astray = openRuntime(engine.homeId, { endpoint: 'unix:///tmp/no-such-engine.sock' });
  return {
    probe: working.probe,
    astray: astray.probe,
    close: async () => {
      for (const { runtime } of [working, astray]) await runtime.close();
      await engine.close();
    },
  };
});

async function openNetworks(engine: TestEngine) {
  const sandboxes = [openRuntime(engine.homeId).runtime, openRuntime(engine.homeId).runtime];
  const [one, other] = sandboxes.map(({ networks }) => networks);
  if (one === undefined || other === undefined) throw new Error('The runtime has no networks');
  const label = `io.opencode-tools.home=${engine.homeId}`;
  return {
    networks: one,
    other,
    newSandbox: async () =>
      docker('run', '-d', '--network', 'none', '--label', label, engine.imageId, 'sleep', '1000000'),
    removeSandbox: async (ref: string) => void (await docker('rm', '-f', ref)),
    stop: async (container: string) => void (await docker('stop', '-t', '1', container)),
    disconnect: async (network: string, container: string) =>
      void (await docker('network', 'disconnect', '-f', network, container)),
    removeNetwork: async (ref: string) => void (await docker('network', 'rm', ref)),
    close: async () => {
      for (const runtime of sandboxes) await runtime.close();
      await engine.close();
    },
  };
}

networkPortContract('Docker', async () => openNetworks(await openTestEngine()));

layerPortContract('Docker', async () => {
  const engine = await openTestEngine();
  const image = await engine.gnuImage();
  const name = `oct-test-layers-${createIds(systemClock).random().slice(0, 12)}`;
  await docker('tag', image, name);
  const { runtime, layers } = openRuntime(engine.homeId, { baseImages: [name] });
  const inVolume = ['run', '--rm', '--network', 'none', '--user', '0:0', '-w', '/w'];
  return {
    layers,
    labels: { 'io.opencode-tools.home': engine.homeId },
    run: async (volume, script) =>
      untilMounted(async () =>
        docker(...inVolume, '--mount', `type=volume,src=${volume},dst=/w,volume-nocopy`, image, 'sh', '-c', script),
      ),
    removeVolume: async (volume) => void (await docker('volume', 'rm', volume)),
    sampleTree: () => {
      const tar = pack();
      tar.entry({ name: 'sub/', type: 'directory', mode: 0o755, uid: 1000, gid: 1000 });
      tar.entry({ name: 'sub/file', mode: 0o644, uid: 1000, gid: 1000 }, 'packed');
      tar.finalize();
      return tar as unknown as AsyncIterable<Uint8Array>;
    },
    close: async () => {
      await runtime.close();
      for (const volume of await engine.leftovers())
        if (volume.startsWith('volume:')) await docker('volume', 'rm', volume.slice('volume:'.length));
      await docker('rmi', name);
      await engine.close();
    },
  };
});
