import { resolve, sep } from 'node:path';
import type { RestoreReport, StoreBackup } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { text } from '../arguments/values.ts';
import { formatBytes, formatTime, lines, oneLine, plural } from '../render/format.ts';
import { table } from '../render/table.ts';
import { dryRunOption, maintenanceCommand } from './maintenance-command.ts';

export const dbBackup = maintenanceCommand<StoreBackup & { readonly dryRun: boolean }>({
  name: 'db backup',
  summary: 'copy the registry to the home’s backups, and check the copy by restoring it on the side',
  notes: ['The registry stays in use meanwhile.'],
  parameters: [],
  options: [
    { name: 'reason', value: text('words'), summary: 'what it is for; becomes part of its name' },
    { name: 'dry-run', summary: 'make and check the copy, then remove it' },
  ],
  async maintain({ maintenance, input }) {
    const dryRun = input.flag('dry-run');
    return { ...(await maintenance.backup({ ...given({ reason: input.get<string>('reason') }), dryRun })), dryRun };
  },
  render: (backup, style) =>
    lines(
      `${backup.dryRun ? style.warning('would save') : style.good('saved')} ${backup.file}`,
      `${plural(backup.tasks, 'task')}, ${plural(backup.records, 'record')}, ${formatBytes(backup.sizeBytes)}`,
    ),
});

export const dbBackups = maintenanceCommand<{ readonly backups: readonly StoreBackup[] }>({
  name: 'db backups',
  summary: 'list the backups of the registry, newest first',
  parameters: [],
  options: [],
  maintain: async ({ maintenance }) => ({ backups: await maintenance.listBackups() }),
  render({ backups }, style) {
    if (backups.length === 0) return style.dim('No backups.');
    return table(
      backups,
      [
        { title: 'FILE', text: ({ file }) => oneLine(file.split(sep).at(-1) ?? file, 120) },
        { title: 'MADE', text: ({ at }) => formatTime(at) },
        { title: 'SCHEMA', align: 'right', text: ({ schemaVersion }) => String(schemaVersion) },
        { title: 'TASKS', align: 'right', text: ({ tasks }) => String(tasks) },
        { title: 'RECORDS', align: 'right', text: ({ records }) => String(records) },
        { title: 'SIZE', align: 'right', text: ({ sizeBytes }) => formatBytes(sizeBytes) },
      ],
      style,
    );
  },
});

export const dbRestore = maintenanceCommand<RestoreReport>({
  name: 'db restore',
  summary: 'put a backup in the registry’s place, in one step, and end every lease',
  notes: [
    'The registry as it is now is saved first. Work in sandboxes and the files of tasks stay where they are; a log that says something else than the backup is kept aside.',
  ],
  parameters: [{ name: 'file', summary: 'name in the list of db backups, or a path' }],
  options: [
    { name: 'roll-forward', summary: 'take in what the task files have beyond the backup (default when it was lost)' },
    { name: 'no-roll-forward', summary: 'take nothing in' },
    dryRunOption,
  ],
  maintain: ({ maintenance, input, cwd }) => {
    const named = input.text('file');
    return maintenance.restore({
      file: named.includes(sep) ? resolve(cwd, named) : named,
      dryRun: input.flag('dry-run'),
      ...(input.flag('roll-forward') ? { rollForward: true } : {}),
      ...(input.flag('no-roll-forward') ? { rollForward: false } : {}),
    });
  },
  render: ({ dryRun, from, saved, keptAside, epoch, rolledForward, filesKeptAside }, style) =>
    lines(
      `${dryRun ? style.warning('would restore') : style.good('restored')} ${from.file}`,
      epoch !== null && `epoch ${epoch}: every lease has ended`,
      saved !== null && `the registry before is saved as ${saved.file}`,
      keptAside !== null && `the unreadable registry is kept as ${keptAside}`,
      rolledForward > 0 && `${plural(rolledForward, 'record')} taken in from task files`,
      ...filesKeptAside.map((file) => `kept aside ${oneLine(file, 200)}`),
    ),
});
