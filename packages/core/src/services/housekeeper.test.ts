import { expect, test } from 'vitest';
import { kernelOver } from '../../test/kernel.ts';
import { createHousekeeper } from './housekeeper.ts';

const holder = { hostId: 'host', bootId: 'boot', pid: 7, startedAt: '1' };

test.each([
  ['that lives', true, holder],
  ['that died and left no word', false, undefined],
] as const)('a process %s is told to keep house: %s', async (_which, alive, told) => {
  const kernel = kernelOver({
    defaults: { reapIntervalMs: 1, reapGraceMs: 1 } as never,
    runtime: { capabilities: async () => ({ engine: { id: 'engine' } }) } as never,
    housekeeping: { findHousekeeper: async () => ({ holder }), listPooled: async () => [] } as never,
    processes: { self: () => holder, isAlive: () => alive },
  });
  const housekeeper = createHousekeeper(kernel, { options: { size: 0 } } as never, {} as never);
  expect((await housekeeper.status()).housekeeper?.holder).toEqual(told);
});
