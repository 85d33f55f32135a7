/** Name of the environment variable that carries the program; no command sees it. */
export const supervisorVariable = 'OCT_LANE';

/** Where the supervisor is, beside the fence and its notes: a directory in which only root can write. */
export const controlDirectory = '/run/oct';
const program = `${controlDirectory}/oct-lane`;
/** What `bootCommand` starts. */
export const bootedProgram = `${controlDirectory}/.oct-lane`;

interface User {
  readonly uid: number;
  readonly gid: number;
}

/**
 * What a container starts with, for any POSIX `sh`: it writes a small program out of its environment and becomes it. That makes the
 * supervisor of the rest and becomes it, which then gives itself its name, so that nobody finds it half written.
 */
export function firstCommand({ uid, gid }: User): readonly string[] {
  return bootCommand(String(uid), String(gid), 'first');
}

/** Starts what a container has in that variable, with these words. */
export function bootCommand(...words: readonly string[]): readonly string[] {
  const boot =
    `umask 022; printf "\${${supervisorVariable}%%:*}" >${bootedProgram}; ` +
    `PATH=/usr/bin:/bin:/usr/sbin:/sbin chmod 0755 ${bootedProgram}; exec ${bootedProgram} "$@"`;
  return ['/bin/sh', '-c', boot, 'oct-lane', ...words];
}

/** A further supervisor in a container that runs; one of the kind `spool` ends its command after so many seconds. */
export function supervisorCommand(
  { uid, gid }: User,
  ...kind: readonly ['lane'] | readonly ['spool', number]
): readonly string[] {
  return [program, String(uid), String(gid), ...kind.map(String)];
}

/** What writes its standard input to that of a command in the background; ends with 3 when there is none. */
export function feedCommand(execution: number): readonly string[] {
  return [program, 'feed', String(execution)];
}

/** What prints the mounts as a process inside has them. */
export const mountsCommand: readonly string[] = [program, 'mounts'];

/** What the engine starts for a command on a terminal, as the commands' user: it takes its mark, asks the fence, and becomes the command. */
export function terminalCommand(token: number, mark: bigint, words: readonly string[]): readonly string[] {
  return [program, 'become', String(token), String(mark), ...words];
}
