import { OpencodeToolsError } from '@opencode-tools/core';
import type { Command, CommandOption } from '../command.ts';

/** A verb on the registry as a whole, for which the home is not opened. */
export function maintenanceCommand<Result>(
  command: Omit<Command<Result>, 'run'> & Required<Pick<Command<Result>, 'maintain'>>,
): Command<Result> {
  return {
    ...command,
    run: () => Promise.reject(new OpencodeToolsError('OCT_INTERNAL', `${command.name} was run on an opened home`)),
  };
}

export const dryRunOption: CommandOption = { name: 'dry-run', summary: 'check everything, change nothing' };
