import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, constants } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Logger } from '@opencode-tools/core';
import type { BytePath } from '../byte-path.ts';
import { errnoOf } from '../failures.ts';
import { noFollow, openUnfollowed } from '../open-unfollowed.ts';
import { attributePrograms } from './attribute-programs.ts';
import { type Attributes, decodeAttributes, encodeAttributes } from './attribute-text.ts';

/** What the program says of one path. */
export type Told =
  { readonly at: number; readonly attributes: string } | { readonly at: number; readonly errno: number };

/** A path and the attributes that it shall have, as a text. */
export interface Wanted {
  readonly path: BytePath;
  readonly attributes: string;
}

const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };
const failed = 0xffff_ffff;
const mostTries = 5;

/**
 * Reads and sets extended attributes by a program of ours in the store, for Node cannot. It is not there on systems other than Linux, on
 * processors that it was not made for, and where no program may run from the store's file system.
 */
export class AttributeProgram {
  readonly #directory: string;
  readonly #logger: Logger;
  #path: Promise<string | undefined> | undefined;

  /** @param directory where the program is put when it is first needed */
  constructor(directory: string, logger: Logger) {
    [this.#directory, this.#logger] = [directory, logger];
  }

  /** Whether there is one that runs. */
  async isThere(): Promise<boolean> {
    return (await this.#find()) !== undefined;
  }

  /**
   * Reads attributes without following a symbolic link.
   *
   * @param root real path of a directory
   * @param paths below it; empty for itself
   * @returns of each path that has some, or whose attributes cannot be read; undefined where there is no program
   */
  async read(root: BytePath, paths: readonly BytePath[], signal?: AbortSignal): Promise<readonly Told[] | undefined> {
    const input = Buffer.from(paths.map((path) => `${path === '' ? '.' : path}\0`).join(''), 'latin1');
    return this.#run('read', root, input, signal);
  }

  /**
   * Gives files and directories the attributes that they shall have and no other.
   *
   * @returns what could not be done; undefined where there is no program
   */
  async write(root: BytePath, wanted: readonly Wanted[], signal?: AbortSignal): Promise<readonly Told[] | undefined> {
    return this.#run('write', root, Buffer.concat(wanted.map(recordOf)), signal);
  }

  async #run(
    verb: 'read' | 'write',
    root: BytePath,
    input: Buffer,
    signal: AbortSignal | undefined,
  ): Promise<readonly Told[] | undefined> {
    const program = await this.#find();
    if (program === undefined) return undefined;
    if (input.length === 0) return [];
    const directory = openUnfollowed(root, noFollow | constants.O_DIRECTORY);
    try {
      const { code, output, complaint } = await run(program, verb, { directory, input, signal });
      if (code === 0) return parse(output);
      throw new Error(`The program for attributes ended with ${String(code)}: ${complaint.trim()}`);
    } finally {
      closeSync(directory);
    }
  }

  #find(): Promise<string | undefined> {
    this.#path ??= this.#make().catch((error: unknown) => {
      this.#logger.warn('Extended attributes cannot be read or set here', { why: String(error) });
      return undefined;
    });
    return this.#path;
  }

  /** @throws what says why none runs */
  async #make(): Promise<string | undefined> {
    const architecture = process.platform === 'linux' ? architectures[process.arch] : undefined;
    const text = architecture === undefined ? undefined : attributePrograms[architecture];
    if (text === undefined) return undefined;
    const program = gunzipSync(Buffer.from(text, 'base64'));
    const path = join(this.#directory, `attributes-${String(architecture)}`);
    const there = await readFile(path).catch(() => undefined);
    if (there?.equals(program) !== true) {
      const temporary = `${path}-${process.pid}-${randomBytes(6).toString('hex')}`;
      try {
        await writeFile(temporary, program, { mode: 0o700, flag: 'wx' });
        await rename(temporary, path);
      } finally {
        await rm(temporary, { force: true });
      }
    }
    const { code } = await run(path, 'read', { directory: 'ignore', input: Buffer.alloc(0) });
    if (code !== 0) throw new Error(`it ended with ${String(code)}`);
    return path;
  }
}

function recordOf({ path, attributes }: Wanted): Buffer {
  const all = decodeAttributes(attributes);
  const parts = [Buffer.from(`${path === '' ? '.' : path}\0`, 'latin1'), word(all.size)];
  for (const [name, value] of all)
    parts.push(Buffer.from(`${name}\0`, 'latin1'), word(value.length), Buffer.from(value, 'latin1'));
  return Buffer.concat(parts);
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function parse(output: Buffer): readonly Told[] {
  const told: Told[] = [];
  for (let from = 0; from < output.length;) {
    const [at, size] = [output.readUInt32LE(from), output.readUInt32LE(from + 4)];
    const begin = from + 8;
    if (size === failed) told.push({ at, errno: output.readUInt32LE(begin) });
    else told.push({ at, attributes: encodeAttributes(attributesIn(output.subarray(begin, begin + size))) });
    from = begin + (size === failed ? 4 : size);
  }
  return told;
}

function attributesIn(bytes: Buffer): Attributes {
  const attributes = new Map<string, string>();
  for (let from = 0; from < bytes.length;) {
    const end = bytes.indexOf(0, from);
    const begin = end + 5;
    const size = bytes.readUInt32LE(end + 1);
    attributes.set(bytes.toString('latin1', from, end), bytes.toString('latin1', begin, begin + size));
    from = begin + size;
  }
  return attributes;
}

interface Run {
  /** Open; what the paths are below. */
  readonly directory: number | 'ignore';
  readonly input: Buffer;
  readonly signal?: AbortSignal | undefined;
}

async function run(
  program: string,
  verb: string,
  { directory, input, signal }: Run,
): Promise<{ readonly code: unknown; readonly output: Buffer; readonly complaint: string }> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await runOnce(program, verb, { directory, input, signal });
    } catch (error) {
      // A process that another thread has just begun may still have the program open for writing.
      if (errnoOf(error) !== 'ETXTBSY' || tries === mostTries) throw error;
    }
  }
}

async function runOnce(program: string, verb: string, { directory, input, signal }: Run) {
  const child = spawn(program, [verb], {
    env: {},
    stdio: ['pipe', 'pipe', 'pipe', directory],
    ...(signal === undefined ? {} : { signal }),
  });
  const [output, complaint]: [Buffer[], Buffer[]] = [[], []];
  child.stdout?.on('data', (bytes: Buffer) => output.push(bytes));
  child.stderr?.on('data', (bytes: Buffer) => complaint.push(bytes));
  // What it did not read is told by how it ended.
  child.stdin?.on('error', () => undefined).end(input);
  const [code] = (await once(child, 'close')) as [unknown];
  return { code, output: Buffer.concat(output), complaint: Buffer.concat(complaint).toString('utf8') };
}
