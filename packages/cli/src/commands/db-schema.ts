import { OpencodeToolsError, type SchemaChange, type StoreUser } from '@opencode-tools/core';
import type { Style } from '../render/style.ts';
import { integer } from '../arguments/values.ts';
import { lines, oneLine } from '../render/format.ts';
import { dryRunOption, maintenanceCommand } from './maintenance-command.ts';

export const dbMigrate = maintenanceCommand<SchemaChange>({
  name: 'db migrate',
  summary: 'bring the registry to the newest schema, after a backup',
  parameters: [],
  options: [dryRunOption],
  maintain: ({ maintenance, input }) => maintenance.migrate({ dryRun: input.flag('dry-run') }),
  render: renderChange,
});

export const dbRollback = maintenanceCommand<SchemaChange>({
  name: 'db rollback',
  summary: 'take the registry back to an older schema, after a backup, for an older version to open',
  notes: ['The next verb of this version that opens the home brings it forward again.'],
  parameters: [],
  options: [
    { name: 'to', value: integer('version', 1, 10_000), summary: 'schema version to go back to (required)' },
    dryRunOption,
  ],
  maintain: async ({ maintenance, input }) => {
    const to = input.get<number>('to');
    if (to !== undefined) return maintenance.rollback({ to, dryRun: input.flag('dry-run') });
    throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', 'It is not said which schema to go back to', {
      remedy: 'Add --to with a version; `opencode-tools db status` shows the one of now.',
      details: { argument: 'to' },
    });
  },
  render: renderChange,
});

function renderChange({ dryRun, from, to, steps, backup, processes }: SchemaChange, style: Style): string {
  if (steps.length === 0) return `The schema is at version ${to} already.`;
  return lines(
    `${dryRun ? style.warning('would go') : style.good('went')} from schema ${from} to ${to}: ${steps.join(', ')}`,
    backup !== null && `backup ${backup.file}`,
    ...processes.map((user) => `${style.warning('start again')} ${described(user)}, which has the home open`),
  );
}

function described({ pid, host, program }: StoreUser): string {
  const where = host === null ? '' : ` on ${host}`;
  return oneLine(`${pid === null ? 'a process' : `process ${pid}`}${where} (${program ?? 'unknown'})`, 200);
}
