import type { Command, Execution } from '@opencode-tools/core';

/** A command as a person would type it. */
export function describeCommand(command: Command): string {
  if (command.kind === 'script') return command.script;
  return command.argv
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`))
    .join(' ');
}

/** How an execution ended, in a word or two. */
export function describeEnd({ state, reason, exitCode, signal }: Execution): string {
  if (state === 'running') return 'running';
  if (exitCode !== null) return `exit ${exitCode}`;
  return reason === 'signalled' || reason === null ? (signal ?? state) : reason;
}
