import { type MoveReport, OpencodeToolsError } from '@opencode-tools/core';
import { text } from '../arguments/values.ts';
import { lines, plural } from '../render/format.ts';
import { dryRunOption, maintenanceCommand } from './maintenance-command.ts';

type Moved = MoveReport | { readonly abandoned: true };

export const dbMove = maintenanceCommand<Moved>({
  name: 'db move',
  summary: 'take the registry to PostgreSQL or back to SQLite, without losing a row',
  notes: [
    'Agents may go on working until the last step, which ends every lease. Killed at any point, the same command goes on.',
    'The home remembers the name of the variable that has the address, never the address.',
  ],
  parameters: [{ name: 'engine', summary: 'where to', choices: ['sqlite', 'postgres'], optional: true }],
  options: [
    { name: 'url-from', value: text('variable'), summary: 'environment variable with the address of the database' },
    { name: 'abandon', summary: 'give up a move that has not ended; the registry stays where it was' },
    dryRunOption,
  ],
  async maintain({ maintenance, input, environment }) {
    if (input.flag('abandon')) {
      await maintenance.abandonMove();
      return { abandoned: true };
    }
    const engine = input.get<string>('engine');
    const dryRun = input.flag('dry-run');
    if (engine === 'sqlite') return maintenance.move({ to: { engine }, dryRun });
    if (engine !== 'postgres') throw missing('engine', 'Name where to: sqlite or postgres.');
    const urlFrom = input.get<string>('url-from') ?? 'OPENCODE_TOOLS_DATABASE';
    const url = environment[urlFrom];
    if (url === undefined || !/^postgres(ql)?:\/\//.test(url)) {
      throw missing('url-from', `Set ${urlFrom} to an address such as postgres://user:password@host/database.`);
    }
    return maintenance.move({ to: { engine, url, urlFrom }, dryRun });
  },
  render(moved, style) {
    if ('abandoned' in moved) return 'The move was given up. The registry is where it was.';
    const { dryRun, from, to, rows, chains, records, epoch, keptAs, resumed } = moved;
    return lines(
      `${dryRun ? style.warning('would move') : style.good(resumed ? 'moved, going on' : 'moved')} ${from} to ${to}`,
      `${plural(rows, 'row')}, ${plural(records, 'record')} in ${plural(chains, 'chain')}${dryRun ? '' : ', compared'}`,
      epoch !== null && `epoch ${epoch}: every lease has ended`,
      keptAs !== null && `the old registry is kept as ${keptAs}`,
    );
  },
});

function missing(argument: string, remedy: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', 'It is not said where the registry goes', {
    remedy,
    details: { argument },
  });
}
