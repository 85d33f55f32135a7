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
}

/** Kernels refuse a longer single argument or variable (`MAX_ARG_STRLEN`, 32 pages). */
const longestField = 131_071;
const environmentName = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * Writes the request for one command. Variables reach the supervisor under a prefix, so that none of them (`PATH`,
 * `LD_PRELOAD`) works on anything that still runs as root; the command's own shell takes the prefix off.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for what no process can be given
 */
export function encodeRun(frame: RunFrame): string {
  const names = Object.keys(frame.env);
  const variables = names.map((name) => `${checkedName(name)}=${frame.env[name] ?? ''}`);
  const prelude = [
    `cd -- ${quote(frame.cwd)} || exit 126; `,
    ...names.map((name) => `${name}=$OCTV_${name}; export ${name}; unset OCTV_${name}; `),
  ].join('');
  const argv = commandLine(frame.command, prelude);
  const header = `run ${frame.nonce} ${frame.token} ${frame.mark} ${frame.withStdin ? 'i' : '-'} ${names.length}\n`;
  return `${header}${[...variables, ...argv].map(encodeField).join('')}.${frame.nonce}\n`;
}

const markBase = 2n ** 52n;
const executionBits = 20;
/** Largest token that fits a mark. */
export const largestToken = 2 ** 32 - 1;

/** The number by which supervisors know an execution: 20 bits of its id's digest. */
export function executionNumber(executionId: string): number {
  return createHash('sha256').update(executionId).digest().readUInt32BE(0) >>> (32 - executionBits);
}

/** The mark that every process of a command carries, in KiB of resident set. */
export function markFor(token: number, execution: number): bigint {
  return markBase + (BigInt(token) << BigInt(executionBits)) + BigInt(execution);
}

/** The prelude stays on the script's first line, so that the shell's messages name the script's own lines. */
function commandLine(command: Command, prelude: string): readonly string[] {
  if (command.kind === 'script') return ['/bin/sh', '-c', `${prelude}${command.script}`, '/bin/sh'];
  if (command.argv.length > 0 && command.argv[0] !== '')
    return ['/bin/sh', '-c', `${prelude}exec "$@"`, 'oct', ...command.argv];
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', 'A command needs at least the name of a program', {
    details: { argument: 'command' },
  });
}

function encodeField(text: string): string {
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
  return `=${text.replaceAll('\n', '\n+')}\n`;
}

function checkedName(name: string): string {
  if (environmentName.test(name)) return name;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Not a name for an environment variable: ${name}`, {
    remedy: 'Use letters, digits and underscores, not beginning with a digit.',
    details: { argument: 'env' },
  });
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
