import type { Command } from '@opencode-tools/core';
import { commandLine } from './run-frame.ts';
import { supervisorVariable } from './supervisor-command.ts';
import { readyProgram } from './supervisor-ready.ts';

const programVariable = 'OCT_READY';

/** What the engine starts for a command on a terminal: it takes its mark, asks the fence, and becomes the command. */
export function terminalArguments(what: {
  readonly token: number;
  readonly mark: bigint;
  readonly command: Command;
  readonly cwd: string;
}): readonly string[] {
  const boot = `l=$${programVariable}; unset ${programVariable} ${supervisorVariable}; eval "$l"`;
  return ['/bin/sh', '-c', boot, 'oct', 'now', `${what.token} ${what.mark}`, what.cwd, ...commandLine(what.command)];
}

/** Nothing of this runs as root: the engine itself starts the command's user. */
export function terminalEnvironment(env: Readonly<Record<string, string>>): readonly string[] {
  return [...Object.entries(env).map(([name, value]) => `${name}=${value}`), `${programVariable}=${readyProgram}`];
}
