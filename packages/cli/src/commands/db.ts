import { type MaintenanceStatus, type StoreVerification, exitCodeFor } from '@opencode-tools/core';
import { formatBytes, lines, oneLine, plural } from '../render/format.ts';
import { facts } from '../render/table.ts';
import { maintenanceCommand } from './maintenance-command.ts';

export const dbStatus = maintenanceCommand<MaintenanceStatus>({
  name: 'db status',
  summary: 'show where the registry is and what it holds, also one that cannot be opened',
  parameters: [],
  options: [],
  maintain: ({ maintenance }) => maintenance.status(),
  exitCode: ({ fault }) => (fault === null ? 0 : exitCodeFor('OCT_STATE_CORRUPT')),
  render(status, style) {
    const { schemaVersion, pendingMigrations, movingTo, fault } = status;
    const pending = pendingMigrations.length === 0 ? '' : `, to come: ${pendingMigrations.join(', ')}`;
    return facts(
      [
        ['home', status.homeId ?? '-'],
        ['engine', status.engine],
        ['location', oneLine(status.location, 200)],
        ['schema', `${schemaVersion ?? '-'} of ${status.latestSchemaVersion}${pending}`],
        ['epoch', String(status.epoch ?? '-')],
        ['tasks', String(status.tasks ?? '-')],
        ['records', String(status.records ?? '-')],
        ['size', formatBytes(status.sizeBytes)],
        ['backups', String(status.backups)],
        ...(movingTo === null ? [] : [['moving to', style.warning(oneLine(movingTo, 200))] as const]),
        ...(fault === null ? [] : [['fault', style.bad(oneLine(fault, 200))] as const]),
      ],
      style,
    );
  },
});

export const dbVerify = maintenanceCommand<StoreVerification>({
  name: 'db verify',
  summary: 'check the registry: its file, every chain, its counters; exit code 8 when something is wrong',
  parameters: [],
  options: [],
  maintain: ({ maintenance }) => maintenance.verify(),
  exitCode: ({ ok }) => (ok ? 0 : exitCodeFor('OCT_LEDGER_BROKEN')),
  render({ ok, chains, records, broken, problems }, style) {
    const checked = `${plural(records, 'record')} in ${plural(chains, 'chain')}`;
    return lines(
      ok ? `${style.good('intact')} ${checked}` : `${style.bad('not intact')} ${checked}`,
      ...broken.map(({ stream, seq, fault }) => `${style.bad(fault)} at record ${seq} of ${stream}`),
      ...problems.map((problem) => `${style.bad('problem')} ${oneLine(problem, 200)}`),
    );
  },
});
