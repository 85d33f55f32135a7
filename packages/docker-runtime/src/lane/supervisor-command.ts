/** Name of the environment variable that carries the program; the boot line removes it before anything else runs. */
export const supervisorVariable = 'OCT_LANE';

/** The process to start: a short command line, so that process listings in the sandbox stay readable. */
export function supervisorCommand(
  user: { readonly uid: number; readonly gid: number },
  kind: 'first' | 'lane' | 'spool',
  limitSeconds = 0,
): string[] {
  const boot = `l=$${supervisorVariable}; unset ${supervisorVariable}; eval "$l"`;
  return [
    '/bin/sh',
    '-c',
    boot,
    'oct-lane',
    String(user.uid),
    String(user.gid),
    kind,
    ...(kind === 'spool' ? [String(limitSeconds)] : []),
  ];
}
