import { open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, storeFailure } from './failures.ts';
import { type StoreLayout, isAlive, temporaryPath } from './store-files.ts';

/** Work that is under way in the store, by the name of its note. */
export type UseName = string;

/**
 * Notes of who works with a store, so that a collection takes nothing away from under work that began before it. A note is a
 * file that names its process; what a dead process noted counts no more.
 */
export class StoreUses {
  readonly #layout: StoreLayout;
  readonly #open: () => Promise<void>;

  /** @param open makes the directories of the store */
  constructor(layout: StoreLayout, open: () => Promise<void>) {
    this.#layout = layout;
    this.#open = open;
  }

  /** Does work that relies on what is in the store. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    await using _ = await this.begin();
    return await work();
  }

  /** Notes work until it is disposed of. Nothing can be collected where nothing can be written, so no note is needed there. */
  async begin(): Promise<AsyncDisposable> {
    await this.#open();
    const note = await this.#note('use').catch((error: unknown) => {
      if (errnoOf(error) === 'EROFS') return undefined;
      throw storeFailure(this.#layout.root, error);
    });
    return { [Symbol.asyncDispose]: async () => (note === undefined ? undefined : rm(note, { force: true })) };
  }

  /**
   * Begins a collection, unless another process has one under way. Each notes itself before it looks for others, so of two at
   * most one goes on.
   */
  async beginCollection(): Promise<AsyncDisposable | undefined> {
    await this.#open();
    const note = await this.#note('collect');
    const end = { [Symbol.asyncDispose]: () => rm(note, { force: true }) };
    if ((await this.#alive('collect')).some((name) => !note.endsWith(name))) {
      await end[Symbol.asyncDispose]();
      return undefined;
    }
    return end;
  }

  /** Work of any process that is under way. */
  current(): Promise<readonly UseName[]> {
    return this.#alive('use');
  }

  async #note(kind: 'use' | 'collect'): Promise<string> {
    const path = temporaryPath(this.#layout, kind);
    const start = await startOf(process.pid);
    await using file = await open(path, 'wx', 0o600);
    // A full disk takes a name, though nothing in it: the number alone tells then whose it is.
    if (start !== undefined) await file.writeFile(start).catch(() => file.truncate());
    return path;
  }

  async #alive(kind: 'use' | 'collect'): Promise<readonly UseName[]> {
    const names = (await readdir(this.#layout.temporary)).filter((name) => name.startsWith(`${kind}-`));
    const alive: string[] = [];
    for (const name of names) {
      const pid = Number(name.split('-')[1]);
      if (isAlive(pid) && !(await this.#isOfAnother(name, pid))) alive.push(name);
    }
    return alive;
  }

  /** Whether the number has gone to a process that began at another time than the one which noted itself. */
  async #isOfAnother(name: string, pid: number): Promise<boolean> {
    const noted = await readFile(join(this.#layout.temporary, name), 'utf8').catch(() => '');
    const start = noted === '' ? undefined : await startOf(pid);
    return start !== undefined && start !== noted;
  }
}

const starts = new Map<number, string>();

/** When a process began, in ticks since the machine did; undefined where that cannot be read. */
async function startOf(pid: number): Promise<string | undefined> {
  const known = pid === process.pid ? starts.get(pid) : undefined;
  if (known !== undefined) return known;
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  const start = text?.slice(text.lastIndexOf(')') + 2).split(' ')[19];
  if (start !== undefined && pid === process.pid) starts.set(pid, start);
  return start;
}
