import { parseId } from '@opencode-tools/core';
import { openLayerBed, owner } from './layer-bed.ts';

/*
 * Makes a volume of a snapshot, and kills itself with SIGKILL when half of what its layer is filled with was taken.
 *
 * argv: directory, home id, volume, snapshot.
 */
const [directory = '', home = '', volume = '', snapshotId = ''] = process.argv.slice(2);

const bed = await openLayerBed({ directory, homeId: parseId('home', home) }, ({ layers, volumes }) => ({
  layers: new Proxy(layers, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== 'function') return value;
      if (key !== 'fill') return value.bind(target) as unknown;
      return (...[layer, tar, signal]: Parameters<typeof layers.fill>) => target.fill(layer, untilKilled(tar), signal);
    },
  }),
  volumes,
}));
await bed.store.provision({ volume, labels: bed.labels, owner, snapshotId });

async function* untilKilled(tar: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of tar) {
    const half = chunk.length >> 1;
    yield chunk.subarray(0, half);
    yield chunk.subarray(half, half + 100);
    process.kill(process.pid, 'SIGKILL');
  }
}
