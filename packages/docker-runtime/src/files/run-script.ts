import {
  type ByteStream,
  type ExecOutcome,
  type ExecRequest,
  type FileAccess,
  OpencodeToolsError,
  type OutputHandler,
  type SandboxPath,
} from '@opencode-tools/core';
import { exits, fileFailure } from './failures.ts';

export type RunCommand = (request: ExecRequest) => Promise<ExecOutcome>;

/** Everything that is listed is held in memory at once. */
const mostOutput = 64 * 1024 ** 2;
const mostComplaint = 4_000;
const defaultLimitMs = 60_000;

/** Programs are found in the directories that only root can write, whatever the image says. */
const prelude = `export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022
`;

export interface Script {
  /** The path that failures name. */
  readonly path: SandboxPath;
  /** The path that is in the way when something exists already; `path` by default. */
  readonly target?: SandboxPath;
  readonly text: string;
  readonly stdin?: Uint8Array | ByteStream;
  /** Takes the output in place of it being returned; a chunk stays as it is until it returns. */
  readonly onStdout?: OutputHandler;
  /** Exit codes, besides 0, that are no failure. */
  readonly fine?: readonly number[];
  /** Ends the script without that being a failure. */
  readonly enough?: AbortSignal;
}

export interface ScriptResult {
  readonly stdout: Buffer;
  readonly exitCode: number;
  readonly complaint: string;
}

/**
 * Runs a script about files as the commands' user, from the root directory, with absolute paths only.
 *
 * @throws OpencodeToolsError as `SandboxFiles` says
 */
export async function runScript(run: RunCommand, access: FileAccess, script: Script): Promise<ScriptResult> {
  const output = new Collector(script.path);
  let complaint = '';
  const { timeoutMs = defaultLimitMs, executionId, token } = access;
  const signals = [access.signal, script.enough].filter((signal) => signal !== undefined);
  const outcome = await run({
    executionId,
    token,
    command: { kind: 'script', script: `${prelude}${script.text}` },
    cwd: '/',
    env: {},
    ...(script.stdin === undefined ? {} : { stdin: script.stdin }),
    timeoutMs,
    onStdout: script.onStdout ?? ((chunk) => output.add(chunk)),
    onStderr: (chunk) => {
      if (complaint.length < mostComplaint) complaint += Buffer.from(chunk).toString('utf8');
    },
    lendsChunks: true,
    ...(signals.length === 0 ? {} : { signal: AbortSignal.any(signals) }),
  });
  const { reason, exitCode } = outcome;
  const stopped = script.enough?.aborted === true && access.signal?.aborted !== true;
  const fine = (reason === 'exited' && [0, ...(script.fine ?? [])].includes(exitCode ?? -1)) || stopped;
  if (!fine) {
    const named = exitCode === exits.exists ? (script.target ?? script.path) : script.path;
    throw fileFailure(named, outcome, complaint, timeoutMs);
  }
  return { stdout: output.whole(), exitCode: exitCode ?? 0, complaint };
}

class Collector {
  readonly #path: SandboxPath;
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;

  constructor(path: SandboxPath) {
    this.#path = path;
  }

  add(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    if (this.#bytes > mostOutput) {
      throw new OpencodeToolsError('OCT_RESOURCE_LIMIT', `More than ${mostOutput} bytes would be returned`, {
        remedy: 'Name a smaller part.',
        details: { limit: 'bytes', path: this.#path.toWellFormed() },
      });
    }
    this.#chunks.push(Uint8Array.from(chunk));
  }

  whole(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

/** Fails with the code of `exits` unless the shell's condition holds. */
export function unless(condition: string, exit: keyof typeof exits): string {
  return `${condition} || exit ${exits[exit]}\n`;
}

/** `\0`-ended fields; a last one that is not ended is left out. */
export function* fields(bytes: Buffer): Generator<Buffer> {
  let from = 0;
  for (let to = bytes.indexOf(0, from); to >= 0; to = bytes.indexOf(0, from)) {
    yield bytes.subarray(from, to);
    from = to + 1;
  }
}
