import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { parseId } from '@opencode-tools/core';
import { KillSteps } from '@opencode-tools/testkit/kill-steps';

/*
 * Does one thing to layers and kills itself with SIGKILL at a given step. A step is the moment before or after any call that
 * changes something on the engine, and before any change of a file.
 *
 * argv: directory, home id, step, what, its arguments. Ends with 0 when that needed fewer steps.
 */
const [directory = '', home = '', step = '', what = '', ...rest] = process.argv.slice(2);
const steps = new KillSteps(Number(step));

steps.into(fs, ['rename', 'writeFile', 'rm', 'unlink', 'link']);
syncBuiltinESMExports();

const { openLayerBed, owner } = await import('./layer-bed.ts');
const bed = await openLayerBed({ directory, homeId: parseId('home', home) }, ({ layers, volumes }) => ({
  layers: steps.around(layers, [
    'prepare',
    'makeEmpty',
    'stack',
    'archive',
    'unpack',
    'fill',
    'flatten',
    'remove',
    'retire',
  ]),
  volumes: steps.around(volumes, ['create', 'writeTree', 'remove']),
}));
const [first = '', second = ''] = rest;
const verbs: Readonly<Record<string, () => Promise<unknown>>> = {
  freeze: () => bed.store.freeze({ kind: 'volume', volume: first }),
  provision: () => bed.store.provision({ volume: first, labels: bed.labels, owner, snapshotId: second }),
  collect: () => bed.store.collect(async () => new Set(rest)),
};
await verbs[what]?.();
await bed.close();
