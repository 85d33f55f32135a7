import type { RebuildReport } from '@opencode-tools/core';
import { lines, oneLine, plural } from '../render/format.ts';
import { dryRunOption, maintenanceCommand } from './maintenance-command.ts';

export const dbRebuild = maintenanceCommand<RebuildReport>({
  name: 'db rebuild',
  summary: 'make a registry that is gone or unreadable again from the task files; exit code 1 when something is lost',
  parameters: [],
  options: [dryRunOption],
  maintain: ({ maintenance, input }) => maintenance.rebuild({ dryRun: input.flag('dry-run') }),
  exitCode: ({ lost }) => (lost.length === 0 ? 0 : 1),
  render: ({ dryRun, tasks, records, epoch, keptAside, lost }, style) =>
    lines(
      `${dryRun ? style.warning('would rebuild') : style.good('rebuilt')} ${plural(tasks, 'task')} from ${plural(records, 'record')}`,
      epoch !== null && `epoch ${epoch}: every lease has ended`,
      keptAside !== null && `the unreadable registry is kept as ${keptAside}`,
      ...lost.map(({ subject, fault }) => `${style.bad('lost')} ${oneLine(subject)}: ${oneLine(fault, 300)}`),
    ),
});
