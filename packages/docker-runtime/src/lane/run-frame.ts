import { createHash } from 'node:crypto';
import { type Command, OpencodeToolsError } from '@opencode-tools/core';

/** What a lane needs to know of a command. */
export interface RunFrame {
  readonly nonce: string;
  readonly token: number;
  readonly mark: bigint;
  readonly command: Command;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly withStdin: boolean;
  /** The number of the shell that runs the command; or `host`: what is started is to be a shell. */
  readonly shell?: number | 'host';
}

/** Kernels refuse a longer single argument or variable (`MAX_ARG_STRLEN`, 32 pages). */
const longestField = 131_071;
const environmentName = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * Writes the request for one command: its variables, its directory, which begins with a slash as no variable does, and its
 * program with the arguments. Nothing that runs as root sets the variables (`PATH`, `LD_PRELOAD`) or looks into them.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for what no process can be given
 */
export function encodeRun(frame: RunFrame): string {
  const header = `run ${frame.nonce} ${frame.token} ${frame.mark} ${flagsOf(frame)}\n`;
  const fields = [...variablesOf(frame), ...wordsOf(frame)];
  return `${header}${fields.map(encodeField).join('')}.${frame.nonce}\n`;
}

/** The variables of a command. @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for what no process can be given */
function variablesOf({ env }: Pick<RunFrame, 'env'>): readonly string[] {
  return Object.entries(env).map(([name, value]) => checkedField(`${checkedName(name)}=${value}`));
}

/** The directory of a command, and its program with the arguments. @throws OpencodeToolsError as `variablesOf` */
export function wordsOf({ cwd, command }: Pick<RunFrame, 'cwd' | 'command'>): readonly string[] {
  return [cwd, ...commandLine(command)].map(checkedField);
}

function flagsOf({ shell, withStdin }: RunFrame): string {
  if (shell !== undefined) return shell === 'host' ? 's' : `s${shell}`;
  return withStdin ? 'i' : '-';
}

const markBase = 2n ** 52n;
const executionBits = 20;

/** The number by which supervisors know an execution: 20 bits of its id's digest. */
export function executionNumber(executionId: string): number {
  return createHash('sha256').update(executionId).digest().readUInt32BE(0) >>> (32 - executionBits);
}

/** The mark that every process of a command carries, in KiB of resident set. */
export function markFor(token: number, execution: number): bigint {
  return markBase + (BigInt(token) << BigInt(executionBits)) + BigInt(execution);
}

/** The program of a command, with its arguments. */
function commandLine(command: Command): readonly string[] {
  if (command.kind === 'script') return ['/bin/sh', '-c', command.script, '/bin/sh'];
  if (command.argv.length > 0 && command.argv[0] !== '') return command.argv;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', 'A command needs at least the name of a program', {
    details: { argument: 'command' },
  });
}

function encodeField(text: string): string {
  return `=${text.replaceAll('\n', '\n+')}\n`;
}

function checkedField(text: string): string {
  if (text.includes('\0')) {
    throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', 'A command line or variable holds a NUL character', {
      remedy: 'Pass such bytes on standard input or in a file.',
    });
  }
  if (Buffer.byteLength(text) > longestField) {
    throw new OpencodeToolsError(
      'OCT_INVALID_ARGUMENT',
      `An argument, script or variable exceeds ${longestField} bytes`,
      {
        remedy: 'Pass it on standard input, or write it to a file in the workspace first.',
        details: { limit: longestField },
      },
    );
  }
  return text;
}

function checkedName(name: string): string {
  if (environmentName.test(name)) return name;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Not a name for an environment variable: ${name}`, {
    remedy: 'Use letters, digits and underscores, not beginning with a digit.',
    details: { argument: 'env' },
  });
}
