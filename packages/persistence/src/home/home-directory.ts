import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { errnoOf, homeError } from './home-file.ts';

const othersMode = 0o077;
const stickyMode = 0o1000;
const ownFile = /^(?:home\.json|registry\.)/;
const ownName = /^(?:home\.json|registry\.|log\.|tasks$|content$|backups$|maintenance\.lock)/;

/**
 * Makes the home directory, readable by its owner only. One that exists becomes so too when nothing but a home is in it; in
 * a directory with other things only our files do.
 *
 * @throws OpencodeToolsError `OCT_STORE_READ_ONLY`, `OCT_STORE_UNAVAILABLE`
 */
export function createHomeDirectory(directory: string): void {
  try {
    makeDirectories(directory);
  } catch (error) {
    throw homeError(directory, error);
  }
  const names = quietly(() => readdirSync(directory)) ?? [];
  for (const name of names) if (ownFile.test(name)) restrict(path.join(directory, name), 0o600);
  if (names.every((name) => ownName.test(name))) restrict(directory, 0o700);
}

/**
 * Makes an empty file that its owner alone can read, before a library makes it for everybody. One that exists is never
 * opened: closing it would take away the locks that SQLite has on it in this process.
 */
export function createPrivateFile(file: string): void {
  quietly(() => closeSync(openSync(file, 'wx', 0o600)));
}

/** Step by step: where nothing can be made, as in /proc, the recursive form tries without end. */
function makeDirectories(directory: string): void {
  const missing: string[] = [];
  for (let at = directory; !existsSync(at) && at !== path.dirname(at); at = path.dirname(at)) missing.unshift(at);
  for (const at of missing) {
    try {
      mkdirSync(at, { mode: 0o700 });
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
  }
  if (statSync(directory).isDirectory()) return;
  throw Object.assign(new Error(`${directory} is no directory`), { code: 'ENOTDIR' });
}

/** Takes rights away and never gives any: a home that its owner made read-only stays so. */
function restrict(target: string, mode: number): void {
  quietly(() => {
    const now = statSync(target).mode;
    if ((now & othersMode) !== 0 && (now & stickyMode) === 0) chmodSync(target, now & mode);
  });
}

/** Whoever may not change a home may still read it. */
function quietly<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}
