import { execFile } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { link, open, readFile, rm, writeFile } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { promisify } from 'node:util';
import { type EnvReference, OpencodeToolsError, type SecretResolver } from '@opencode-tools/core';
import type { Environment } from '../configuration/environment.ts';

const maxFileBytes = 64 * 1024;
const commandLimitMs = 30_000;

/**
 * Resolves references to environment variables of this process, to files of this host and to what programs of this host print
 * (at most 64 KiB; one line break at the end is left out).
 *
 * @param keyFile where the key of marks is, or is made when it is first needed
 * @param options.limitMs how long a program may take, in milliseconds; 30,000 by default
 */
export function createSecretResolver(
  environment: Environment,
  keyFile: string,
  { limitMs = commandLimitMs }: { readonly limitMs?: number } = {},
): SecretResolver {
  return {
    resolve: async (references) => {
      const entries: (readonly [string, string])[] = [];
      for (const reference of references)
        entries.push([reference.name, await valueOf(reference, environment, limitMs)]);
      return Object.fromEntries(entries);
    },
    mark: async (values) => {
      const text = JSON.stringify(values.map((each) => Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1))));
      return createHmac('sha256', await keyOf(keyFile))
        .update(text)
        .digest('hex');
    },
  };
}

/** The key in a file that only its owner reads; of several processes that make it at once, all get the one that came first. */
async function keyOf(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const fresh = `${file}.${randomBytes(6).toString('hex')}`;
  await writeFile(fresh, randomBytes(32), { mode: 0o600, flag: 'wx', flush: true });
  try {
    await link(fresh, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(fresh);
  }
  return readFile(file);
}

async function valueOf(reference: EnvReference, environment: Environment, limitMs: number): Promise<string> {
  if (reference.from === 'file') return await readSecretFile(reference.name, reference.path);
  if (reference.from === 'command') return await printed(reference, environment, limitMs);
  const value = environment[reference.variable];
  if (value !== undefined) return value;
  throw unresolved(
    reference.name,
    `environment variable ${reference.variable} is not set`,
    'Set it, or correct its name.',
  );
}

/** What a program prints, less one line break. Its arguments are recorded, so that they must hold no secret themselves. */
async function printed(
  { name, argv }: Extract<EnvReference, { readonly from: 'command' }>,
  environment: Environment,
  limitMs: number,
): Promise<string> {
  const [program = '', ...rest] = argv;
  try {
    const options = {
      env: { ...environment },
      timeout: limitMs,
      killSignal: 'SIGKILL',
      maxBuffer: maxFileBytes,
      encoding: 'utf8',
    } as const;
    const running = promisify(execFile)(program, rest, options);
    running.child.stdin?.end();
    const { stdout } = await running;
    return stdout.replace(/\r?\n$/, '');
  } catch (error) {
    const how = howItEnded(error as Failed, limitMs);
    throw unresolved(name, `command ${program} ${how}`, 'Run it by hand to see why.');
  }
}

interface Failed {
  readonly code?: string | number | null;
  readonly killed?: boolean;
  readonly signal?: string | null;
}

function howItEnded({ code, killed, signal }: Failed, limitMs: number): string {
  if (code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') return `printed more than ${maxFileBytes} bytes`;
  // One that ended by itself counts as killed, too, when something that it started held its output until the limit.
  if (killed === true && typeof code !== 'number') return `did not end in ${limitMs} ms`;
  return `ended with ${signal ?? String(code)}`;
}

async function readSecretFile(name: string, path: string): Promise<string> {
  if (!isAbsolute(path))
    throw unresolved(name, `${path} is not an absolute path`, 'Name the file by an absolute path.');
  try {
    await using file = await open(path, 'r');
    const buffer = Buffer.alloc(maxFileBytes + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    if (bytesRead <= maxFileBytes) return buffer.toString('utf8', 0, bytesRead).replace(/\r?\n$/, '');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw unresolved(name, `file ${path} cannot be read (${reason})`, 'Make it readable, or correct the path.');
  }
  throw unresolved(name, `file ${path} is larger than ${maxFileBytes} bytes`, 'Name a smaller file.');
}

function unresolved(name: string, fault: string, remedy: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Cannot resolve ${name} for the sandbox: ${fault}`, {
    remedy,
    details: { argument: 'env', name },
  });
}
