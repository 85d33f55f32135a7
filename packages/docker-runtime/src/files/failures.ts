import {
  type ErrorCode,
  type ExecOutcome,
  OpencodeToolsError,
  type SandboxPath,
  printable,
} from '@opencode-tools/core';

/** What the scripts exit with, besides 0. */
export const exits = {
  absent: 10,
  notAFile: 11,
  notADirectory: 12,
  denied: 13,
  noProgram: 15,
  exists: 17,
  changed: 18,
  busy: 20,
  notEmpty: 21,
  badPattern: 22,
} as const;

type Reason = readonly [code: ErrorCode, fact: string, remedy?: string];

const reasons: Readonly<Record<number, Reason>> = {
  [exits.absent]: ['OCT_FILE_NOT_FOUND', 'does not exist, or cannot be reached'],
  [exits.notAFile]: ['OCT_FILE_REFUSED', 'is not a regular file', 'Only regular files are read and written.'],
  [exits.notADirectory]: ['OCT_FILE_REFUSED', 'is not a directory', 'Name a directory.'],
  [exits.denied]: ['OCT_FILE_REFUSED', "may not be used in this way by the sandbox's user"],
  [exits.noProgram]: [
    'OCT_CAPABILITY_UNSUPPORTED',
    'needs a program that the image does not have',
    'Use an image with coreutils, findutils, grep and tar, or with busybox.',
  ],
  [exits.exists]: ['OCT_VERSION_CONFLICT', 'exists already', 'Name another path, or say that it is to be replaced.'],
  [exits.changed]: [
    'OCT_VERSION_CONFLICT',
    'has other content than expected',
    'Read the file again, and write with the digest that this gives.',
  ],
  [exits.busy]: ['OCT_TIMEOUT', 'is being written by others', 'Try again.'],
  [exits.notEmpty]: ['OCT_FILE_REFUSED', 'is a directory that is not empty', 'Ask for its removal with all in it.'],
  [exits.badPattern]: ['OCT_INVALID_ARGUMENT', 'cannot be searched with this pattern', 'Correct the pattern.'],
};

/** Says in the terms of the port why a script that touched a path did not do it. */
export function fileFailure(
  path: SandboxPath,
  outcome: ExecOutcome,
  complaint: string,
  limitMs: number,
): OpencodeToolsError {
  const shown = printable(path.replaceAll(/[\u0000-\u001f\u007f]/g, '?'));
  const details = { path: shown };
  const { reason, exitCode } = outcome;
  if (reason === 'exited') {
    const known = reasons[exitCode ?? 0] ?? fromComplaint(complaint);
    const [code, fact, remedy] = known;
    const said = code === 'OCT_INVALID_ARGUMENT' || known === unknown ? `: ${printable(complaint.trim())}` : '';
    return new OpencodeToolsError(code, `${shown} ${fact}${said}`, {
      details,
      ...(remedy === undefined ? {} : { remedy }),
    });
  }
  const [code, fact] = interruptions[reason] ?? ['OCT_SANDBOX_NOT_FOUND', `the sandbox ended (${reason})`];
  return new OpencodeToolsError(code, `${shown}: ${fact}`, {
    details: code === 'OCT_TIMEOUT' ? { ...details, limit: 'timeoutMs', valueMs: limitMs } : details,
  });
}

const interruptions: Readonly<Record<string, Reason>> = {
  timeout: ['OCT_TIMEOUT', 'not done within its time'],
  cancelled: ['OCT_CANCELLED', 'the call was cancelled'],
  fenced: ['OCT_STALE_FENCING_TOKEN', 'another session took the task over'],
  'out-of-memory': ['OCT_RESOURCE_LIMIT', 'the memory of the sandbox ran out'],
  signalled: ['OCT_RESOURCE_LIMIT', 'it was ended by a signal in the sandbox'],
};

const unknown: Reason = ['OCT_FILE_REFUSED', 'could not be used'];

/** The C library's words for what went wrong, in the C locale. */
function fromComplaint(complaint: string): Reason {
  if (/No space left|Disk quota exceeded|File too large/.test(complaint))
    return ['OCT_RESOURCE_LIMIT', 'does not fit: no space is left for it', 'Free space in the sandbox.'];
  if (/Cannot fork|can't fork|Resource temporarily unavailable/.test(complaint))
    return ['OCT_RESOURCE_LIMIT', 'cannot be used: the processes of the sandbox are used up'];
  if (complaint.includes('Read-only file system'))
    return ['OCT_FILE_REFUSED', 'is on a file system that is read-only', 'Write below the workspace, home or /tmp.'];
  if (complaint.includes('ermission denied')) return reasons[exits.denied] ?? unknown;
  if (complaint.includes('Not a directory')) return reasons[exits.notADirectory] ?? unknown;
  if (complaint.includes('No such file')) return reasons[exits.absent] ?? unknown;
  if (complaint.includes('not found')) return reasons[exits.noProgram] ?? unknown;
  return unknown;
}
