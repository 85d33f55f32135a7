import { appendFileSync } from 'node:fs';
import { asOpencodeToolsError } from '@opencode-tools/core';
import type { RegistryPlace } from '../src/index.ts';
import { maintenanceOf, urlFrom } from './administration.ts';

/**
 * Carries out one verb of the maintenance in a process of its own, and dies before the step with the number or name given:
 * `crash-child.ts <verb> <home directory> <postgres address or -> <step> [argument]`.
 */
const [verb = '', directory = '', url = '-', step = '0', argument = ''] = process.argv.slice(2);
const postgres = { engine: 'postgres', url, urlFrom } as const;
const sqlite = { engine: 'sqlite' } as const;
const place: RegistryPlace = argument.startsWith('from-postgres') ? postgres : sqlite;

let steps = 0;
const maintenance = await maintenanceOf(directory, place, (name) => {
  steps += 1;
  if (steps === Number(step) || name === step) process.kill(process.pid, 'SIGKILL');
});

const verbs: Readonly<Record<string, () => Promise<unknown>>> = {
  backup: () => maintenance.backup(),
  rollback: () => maintenance.rollback({ to: 1 }),
  migrate: () => maintenance.migrate(),
  restore: async () => {
    const backup = (await maintenance.listBackups()).find(({ reason }) => reason === 'wanted');
    return maintenance.restore({ file: backup?.file ?? '' });
  },
  rebuild: () => maintenance.rebuild(),
  move: () => maintenance.move({ to: place.engine === 'sqlite' ? postgres : sqlite }),
};

try {
  await verbs[verb]?.();
  appendFileSync(1, `done ${steps}\n`);
} catch (error) {
  appendFileSync(1, `${JSON.stringify(asOpencodeToolsError(error))}\n`);
  process.exitCode = 1;
}
