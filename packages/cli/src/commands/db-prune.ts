import type { PruneReport } from '@opencode-tools/core';
import { integer } from '../arguments/values.ts';
import type { Command } from '../command.ts';
import { formatBytes, lines, plural } from '../render/format.ts';
import { dryRunOption } from './maintenance-command.ts';

const mostDays = 36_500;

export const dbPrune: Command<PruneReport> = {
  name: 'db prune',
  summary: 'take old records out of the ledgers, forget tasks that were deleted long ago, and remove old outputs',
  notes: [
    'What is left still proves itself from the base that the record of it names. Nothing goes without a number of days.',
  ],
  parameters: [],
  options: [
    {
      name: 'ledger-days',
      value: integer('days', 1, mostDays),
      summary: 'keep records of this many days (default: all)',
    },
    {
      name: 'tombstone-days',
      value: integer('days', 1, mostDays),
      summary: 'keep deleted tasks for this many days (default: for ever)',
    },
    {
      name: 'output-days',
      value: integer('days', 0, mostDays),
      summary:
        'keep outputs of commands for this many days; 0 removes all but those of commands that run (default: all)',
    },
    dryRunOption,
  ],
  run: ({ home, input }) =>
    home.store.prune({
      keepLedgerDays: input.get<number>('ledger-days') ?? null,
      keepTombstoneDays: input.get<number>('tombstone-days') ?? null,
      keepOutputDays: input.get<number>('output-days') ?? null,
      dryRun: input.flag('dry-run'),
    }),
  render({ dryRun, chains, tombstones, outputs }, style) {
    const records = chains.reduce((sum, chain) => sum + chain.records, 0);
    const bytes = outputs.reduce((sum, output) => sum + output.bytes, 0);
    const commands = outputs.reduce((sum, output) => sum + output.executions, 0);
    return lines(
      `${dryRun ? style.warning('would take out') : style.good('took out')} ${plural(records, 'record')} of ${plural(chains.length, 'ledger')}`,
      tombstones.length > 0 && `${plural(tombstones.length, 'deleted task')} ${dryRun ? 'would be ' : ''}forgotten`,
      commands > 0 &&
        `${formatBytes(bytes)} of outputs of ${plural(commands, 'command')} ${dryRun ? 'would be ' : ''}removed`,
    );
  },
};
