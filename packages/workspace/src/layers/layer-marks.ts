import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { OpencodeToolsError } from '@opencode-tools/core';
import { errnoOf } from '../failures.ts';
import { isAlive, namesIn } from '../store-files.ts';
import { newName } from './layer-names.ts';

const workMark = 'work-';
const retryMs = 20;
const longestWaitMs = 60_000;

/**
 * Which process is at work on what: a file per name that holds the number of the process, so that what a dead one left is known.
 * Whoever makes the file of a name has it.
 */
export class LayerMarks {
  readonly #directory: string;
  /** Of the one process that may take everything away. */
  readonly #only: string;
  readonly #open: () => Promise<void>;

  constructor(directory: string, open: () => Promise<void>) {
    this.#directory = join(directory, 'making');
    this.#only = join(directory, 'only');
    this.#open = open;
  }

  /** Notes that this process is about to make layers, so that they are somebody's when it dies. */
  async begin(names: readonly string[]): Promise<void> {
    await this.#open();
    for (const name of names) await writeFile(this.#path(name), String(process.pid), { mode: 0o600 });
  }

  async done(names: readonly string[]): Promise<void> {
    for (const name of names) await rm(this.#path(name), { force: true });
  }

  /** As `begin`, for one name that others may want as well. @returns false when another has it */
  async claim(name: string): Promise<boolean> {
    return this.#take(this.#path(name));
  }

  /** What was begun and not done, and by which process; zero for none that can be told. */
  async list(): Promise<readonly { readonly name: string; readonly pid: number }[]> {
    const names = await namesIn(this.#directory);
    return Promise.all(names.map(async (name) => ({ name, pid: await pidIn(this.#path(name)) })));
  }

  /** What living processes are at work on. */
  async listUnderWay(): Promise<readonly string[]> {
    return (await this.list()).filter(({ pid }) => isLiving(pid)).map(({ name }) => name);
  }

  /** Does what needs layers that are there for everybody; meanwhile they are not taken away. */
  async atWork<T>(work: () => Promise<T>): Promise<T> {
    const mark = `${workMark}${newName()}`;
    await this.begin([mark]);
    try {
      for (let waited = 0; isLiving(await pidIn(this.#only)); waited += retryMs) {
        await this.done([mark]);
        if (waited > longestWaitMs) throw tooLong();
        await setTimeout(retryMs);
        await this.begin([mark]);
      }
      return await work();
    } finally {
      await this.done([mark]);
    }
  }

  /** Does what nobody may be at work beside; the work looks whether somebody has begun. @returns false when another does it */
  async alone(work: () => Promise<boolean>): Promise<boolean> {
    await this.#open();
    if (!isLiving(await pidIn(this.#only))) await rm(this.#only, { force: true });
    if (!(await this.#take(this.#only))) return false;
    try {
      return await work();
    } finally {
      await rm(this.#only, { force: true });
    }
  }

  async #take(path: string): Promise<boolean> {
    const own = `${path}.${newName()}`;
    await writeFile(own, String(process.pid), { mode: 0o600 });
    try {
      await link(own, path);
      return true;
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false;
      throw error;
    } finally {
      await rm(own, { force: true });
    }
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }
}

function isLiving(pid: number): boolean {
  return pid > 0 && isAlive(pid);
}

async function pidIn(path: string): Promise<number> {
  return Number(await readFile(path, 'utf8').catch(() => '0'));
}

function tooLong(): OpencodeToolsError {
  return new OpencodeToolsError(
    'OCT_TIMEOUT',
    'Another process has been taking the layers of this home away for a minute',
    {
      remedy: 'Try again; if this stays so, end the other processes that have the home open.',
    },
  );
}
