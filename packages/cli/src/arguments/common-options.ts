import type { Command, CommandOption } from '../command.ts';
import { named, path } from './values.ts';

/** Accepted before and after every verb. */
export const globalOptions: readonly CommandOption[] = [
  {
    name: 'home',
    value: path('directory'),
    summary: 'home directory (default: OPENCODE_TOOLS_HOME, or the data directory of the platform)',
  },
  { name: 'config', value: path('file'), summary: 'configuration file' },
  { name: 'json', summary: 'print one JSON document; errors as JSON on stderr' },
  { name: 'no-color', summary: 'no colours (also: NO_COLOR)' },
];

const actorOptions: readonly CommandOption[] = [
  { name: 'agent', value: named('name'), summary: 'agent on whose behalf this is done' },
  { name: 'model', value: named('name'), summary: 'model of that agent' },
  {
    name: 'idempotency-key',
    value: named('key'),
    summary: 'the same key and arguments within 24 h give the first result again',
  },
];

const sessionOption: CommandOption = {
  name: 'session',
  value: named('session'),
  summary: 'session to act under (default: OPENCODE_TOOLS_SESSION, or a lease for this command only)',
};

/** The options of a verb's own, and those that follow from what it changes. */
export function optionsOf(command: Pick<Command, 'options' | 'changes'>): readonly CommandOption[] {
  if (command.changes === undefined) return command.options;
  return [...command.options, ...(command.changes === 'task' ? [sessionOption] : []), ...actorOptions];
}
