import { execFile, spawn } from 'node:child_process';
import { type ErrorCode, type Logger, OpencodeToolsError, printable } from '@opencode-tools/core';
import type { Environment } from './extract-tar.ts';
import { errnoOf, throwIfCancelled } from './failures.ts';

const quickMs = 60_000;
const mostOutputBytes = 1024 * 1024 * 1024;

/** What git says must never run or ask, whatever a repository's own configuration says. */
const configuration = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.pager=cat',
  'core.askPass=',
  'core.sshCommand=false',
  'credential.helper=',
  'protocol.allow=never',
  'protocol.ext.allow=never',
  'protocol.file.allow=always',
  'protocol.version=2',
  'gc.auto=0',
  'maintenance.auto=false',
  'submodule.recurse=false',
  'fetch.recurseSubmodules=false',
  'advice.detachedHead=false',
].flatMap((setting) => ['-c', setting]);

export interface GitCall {
  readonly cwd: string;
  readonly config?: readonly string[];
  readonly environment?: Environment;
  readonly input?: Uint8Array;
  /** 60 seconds by default. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface GitResult {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs git with fixed arguments, never through a shell. */
export interface GitRunner {
  /** Gives the result whatever the exit code. */
  try(args: readonly string[], call: GitCall): Promise<GitResult>;
  /** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` with git's own words when the exit code is not 0 */
  run(args: readonly string[], call: GitCall): Promise<Buffer>;
  /** Gives what git puts out as it comes, however much it is. @throws as `run`, at the end */
  stream(args: readonly string[], call: Omit<GitCall, 'timeoutMs'>): AsyncGenerator<Uint8Array>;
}

export function createGitRunner(options: { readonly environment: Environment; readonly logger: Logger }): GitRunner {
  const attempt = async (args: readonly string[], call: GitCall): Promise<GitResult> => {
    throwIfCancelled(call.signal);
    const result = await execute([...configuration, ...settings(call), ...args], call, options.environment);
    options.logger.debug('git ran', { command: args[0] ?? '', code: result.code });
    return result;
  };
  return {
    try: attempt,
    run: async (args, call) => {
      const result = await attempt(args, call);
      if (result.code !== 0) throw gitFailure(args, call, result.stderr);
      return result.stdout;
    },
    stream: (args, call) => streamOut([...configuration, ...settings(call), ...args], args, call, options.environment),
  };
}

async function* streamOut(
  all: readonly string[],
  args: readonly string[],
  call: Omit<GitCall, 'timeoutMs'>,
  environment: Environment,
): AsyncGenerator<Uint8Array> {
  throwIfCancelled(call.signal);
  const child = spawn('git', [...all], {
    cwd: call.cwd,
    env: { ...safeEnvironment(environment), ...call.environment },
    stdio: ['pipe', 'pipe', 'pipe'],
    killSignal: 'SIGKILL',
    ...(call.signal === undefined ? {} : { signal: call.signal }),
  });
  // What ended before it had read all is told by its exit code.
  child.stdin.on('error', () => undefined);
  child.stdin.end(call.input);
  const said: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => said.push(chunk));
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', (error) => reject(runFailure(error, call, quickMs)));
    child.on('close', resolve);
  });
  ended.catch(() => undefined);
  try {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) yield chunk;
    const code = await ended;
    if (code !== 0) throw gitFailure(args, call, Buffer.concat(said).toString('utf8'));
  } finally {
    child.kill('SIGKILL');
  }
}

export const partialCloneRemedy =
  'Fetch the missing objects of the partial clone there first (git fetch --refetch --no-filter).';

/** The error for a git command that did not do its work. */
export function gitFailure(args: readonly string[], { cwd }: GitCall, stderr: string): OpencodeToolsError {
  const words = printable(stderr.trim());
  const [code, remedy] = remedyFor(words);
  return new OpencodeToolsError(code, `git ${args[0] ?? ''} failed in ${cwd}: ${words}`, {
    remedy,
    details: { directory: cwd },
  });
}

function remedyFor(words: string): readonly [ErrorCode, string] {
  if (words.includes('dubious ownership')) return ['OCT_INVALID_ARGUMENT', 'Run as the owner of the repository.'];
  if (words.includes('No space left')) return ['OCT_RESOURCE_LIMIT', 'Free disk space, then try again.'];
  if (words.includes('not a git repository'))
    return ['OCT_INVALID_ARGUMENT', 'Name a directory inside a git repository.'];
  if (words.includes('promisor remote')) return ['OCT_INVALID_ARGUMENT', partialCloneRemedy];
  return ['OCT_INVALID_ARGUMENT', 'Check the repository with `git status` and `git fsck`.'];
}

function settings(call: GitCall): readonly string[] {
  return (call.config ?? []).flatMap((setting) => ['-c', setting]);
}

function execute(args: readonly string[], call: GitCall, environment: Environment): Promise<GitResult> {
  const timeoutMs = call.timeoutMs ?? quickMs;
  return new Promise((resolve, reject) => {
    const child = execFile(
      'git',
      [...args],
      {
        cwd: call.cwd,
        env: { ...safeEnvironment(environment), ...call.environment },
        encoding: 'buffer',
        maxBuffer: mostOutputBytes,
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        ...(call.signal === undefined ? {} : { signal: call.signal }),
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : error.code;
        if (typeof code === 'number') resolve({ code, stdout, stderr: stderr.toString('utf8') });
        else reject(runFailure(error, call, timeoutMs));
      },
    );
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(call.input);
  });
}

function safeEnvironment(environment: Environment): Environment {
  const kept = ['PATH', 'HOME', 'XDG_CONFIG_HOME', 'TMPDIR'].map((name) => [name, environment[name]] as const);
  return {
    ...Object.fromEntries(kept.filter(([, value]) => value !== undefined)),
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_OPTIONAL_LOCKS: '0',
    // Objects are named as they are, whatever the repository puts in their place (`git replace`).
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_NO_LAZY_FETCH: '1',
    GIT_LITERAL_PATHSPECS: '1',
  };
}

function runFailure(error: unknown, call: GitCall, timeoutMs: number): OpencodeToolsError {
  if (call.signal?.aborted === true) {
    return new OpencodeToolsError('OCT_CANCELLED', 'The work on a workspace was cancelled', { cause: error });
  }
  if (errnoOf(error) === 'ENOENT') {
    return new OpencodeToolsError('OCT_CAPABILITY_UNSUPPORTED', 'No git program was found, or its directory is gone', {
      remedy: 'Install git 2.30 or newer, or put it on PATH.',
      cause: error,
      details: { directory: call.cwd },
    });
  }
  return new OpencodeToolsError('OCT_TIMEOUT', `git did not finish within ${timeoutMs} ms in ${call.cwd}`, {
    remedy: 'Check the disk and the repository, then try again.',
    cause: error,
  });
}
