import { OpencodeToolsError } from '@opencode-tools/core';
import { openMaintenance } from '../src/index.ts';

/*
 * Asks the maintenance of a home for what only reads, and for one verb that writes, and prints what it says.
 *
 * node read-only-child.ts <home>
 */
const maintenance = await openMaintenance({ directory: process.argv[2] ?? '' });
const { tasks, fault } = await maintenance.status();
const { ok } = await maintenance.verify();
const backup = await maintenance.backup().then(
  () => 'done',
  (error: unknown) => (error instanceof OpencodeToolsError ? error.code : String(error)),
);
process.stdout.write(JSON.stringify({ tasks, fault, ok, backup }));
