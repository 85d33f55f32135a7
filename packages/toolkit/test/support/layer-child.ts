import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { parseId } from '@opencode-tools/core';

/*
 * Does one thing to layers and kills itself with SIGKILL at a given step. A step is the moment before or after any call that
 * changes something on the engine, and before any change of a file.
 *
 * argv: directory, home id, step, what, its arguments. Ends with 0 when that needed fewer steps.
 */
const [directory = '', home = '', step = '', what = '', ...rest] = process.argv.slice(2);
const killAt = Number(step);
let steps = 0;

function pass(): void {
  steps += 1;
  if (steps === killAt) process.kill(process.pid, 'SIGKILL');
}

const changing = ['rename', 'writeFile', 'rm', 'unlink', 'link'] as const;
for (const name of changing) {
  const plain = fs[name] as (...args: unknown[]) => Promise<unknown>;
  Object.assign(fs, {
    [name]: async (...args: unknown[]): Promise<unknown> => {
      pass();
      return plain(...args);
    },
  });
}
syncBuiltinESMExports();

/** Wraps the named methods; everything else is passed on. */
function stepping<T extends object>(target: T, methods: readonly (keyof T)[]): T {
  return new Proxy(target, {
    get: (object, member) => {
      const value: unknown = Reflect.get(object, member, object);
      if (typeof value !== 'function') return value;
      if (!methods.includes(member as keyof T)) return value.bind(object) as unknown;
      return async (...args: unknown[]): Promise<unknown> => {
        pass();
        const result: unknown = await Reflect.apply(value, object, args);
        pass();
        return result;
      };
    },
  });
}

const { openLayerBed, owner } = await import('./layer-bed.ts');
const bed = await openLayerBed({ directory, homeId: parseId('home', home) }, ({ layers, volumes }) => ({
  layers: stepping(layers, ['prepare', 'makeEmpty', 'stack', 'archive', 'fill', 'flatten', 'remove', 'retire']),
  volumes: stepping(volumes, ['create', 'writeTree', 'remove']),
}));
const [first = '', second = ''] = rest;
const verbs: Readonly<Record<string, () => Promise<unknown>>> = {
  freeze: () => bed.store.freeze({ kind: 'volume', volume: first }),
  provision: () => bed.store.provision({ volume: first, labels: bed.labels, owner, snapshotId: second }),
  collect: () => bed.store.collect(async () => new Set(rest)),
};
await verbs[what]?.();
await bed.close();
