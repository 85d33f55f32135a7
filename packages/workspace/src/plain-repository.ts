import { existsSync } from 'node:fs';
import { lstat, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from './failures.ts';

const mostLooseTags = 1_000;
const branches = 'refs/heads/';

/**
 * The file of a repository's configuration where git is certain to read that one and, unless it leads elsewhere, no other: what git
 * would not take for a repository makes it look in the directories above.
 */
export async function plainConfiguration(directory: string): Promise<string | undefined> {
  const own = join(directory, '.git');
  try {
    const [head, text, ...kinds] = await Promise.all([
      readFile(join(own, 'HEAD'), 'latin1'),
      readFile(join(own, 'config'), 'latin1'),
      ...[own, join(own, 'objects'), join(own, 'refs')].map((path) => lstat(path)),
    ]);
    const isRepository = /^(ref: refs\/[^\n]+|[0-9a-f]{40})\n$/.test(head) && kinds.every((kind) => kind.isDirectory());
    return isRepository && !existsSync(join(own, 'commondir')) ? text : undefined;
  } catch {
    return undefined;
  }
}

/** What HEAD of a repository says. */
export interface PlainHead {
  readonly commit: string;
  /** Null for a detached commit. */
  readonly branch: string | null;
}

/**
 * Reads what is checked out in the directory's own work tree, as git would say it. Starting git holds a busy process up for longer than git
 * takes for the answer.
 *
 * @param directory a real path
 * @returns undefined where git has to be asked: whatever is not an ordinary repository of this user with ordinary names
 */
export async function plainHead(directory: string): Promise<PlainHead | undefined> {
  return plainly(directory, async (own) => {
    const head = await readFile(join(own, 'HEAD'), 'latin1');
    if (object.test(head)) return { commit: head.trimEnd(), branch: null };
    const name = head.slice('ref: '.length).trimEnd();
    if (!name.startsWith(branches) || !isPlainName(name)) return undefined;
    const commit = (await looseRef(own, name)) ?? (await packedRefs(own))?.get(name);
    return commit === undefined ? undefined : { commit, branch: name.slice(branches.length) };
  });
}

/** All tags as `<object> <name>`, in the order of their names. @returns undefined as `plainHead` does */
export async function plainTags(directory: string): Promise<readonly string[] | undefined> {
  return plainly(directory, async (own) => {
    const places = await readdir(join(own, 'refs/tags'), { recursive: true, withFileTypes: true }).catch(noneThere);
    const files = places.filter((place) => !place.isDirectory());
    if (files.length > mostLooseTags || !files.every((place) => place.isFile())) return undefined;
    const names = files.map((place) => join(place.parentPath, place.name).slice(own.length + 1));
    if (!names.every(isPlainName)) return undefined;
    const loose = await Promise.all(names.map(async (name) => [name, await looseRef(own, name)] as const));
    // What is packed meanwhile is there before its file goes.
    const packed = await packedRefs(own);
    if (packed === undefined) return undefined;
    const tags = new Map([...packed].filter(([name]) => name.startsWith('refs/tags/')));
    for (const [name, id] of loose) if (id !== undefined) tags.set(name, id);
    return [...tags.keys()].toSorted().map((name) => `${tags.get(name) ?? ''} ${name}`);
  });
}

const object = /^[0-9a-f]{40}\n$/;

/** Anything but an ordinary repository, and whatever cannot be read as one, is left to git. */
async function plainly<T>(directory: string, read: (own: string) => Promise<T>): Promise<T | undefined> {
  const text = await plainConfiguration(directory);
  const own = join(directory, '.git');
  if (text === undefined || !isOrdinary(text) || existsSync(join(own, 'shallow'))) return undefined;
  try {
    const owners = await Promise.all([directory, own].map(async (path) => (await lstat(path)).uid));
    return owners.every((uid) => uid === process.geteuid?.()) ? await read(own) : undefined;
  } catch {
    return undefined;
  }
}

/** Files for references, a work tree around them, and nothing that leads elsewhere. */
function isOrdinary(configuration: string): boolean {
  const rest = configuration.replace('\tbare = false\n', '');
  return rest.includes('\trepositoryformatversion = 0\n') && !/bare|worktree|include|extensions/i.test(rest);
}

/** Names that mean the same to every git and file system; others git reads. */
function isPlainName(name: string): boolean {
  return name
    .split('/')
    .every((part) => /^[\w+@-][\w+@.-]*$/.test(part) && !/\.\.|\.$|\.lock$/.test(part) && part !== '@');
}

/** @throws for what is there and is no plain reference */
async function looseRef(own: string, name: string): Promise<string | undefined> {
  const path = join(own, name);
  try {
    const [facts, text] = await Promise.all([lstat(path), readFile(path, 'latin1')]);
    if (facts.isFile() && object.test(text)) return text.trimEnd();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  throw new Error(`${name} is no plain reference`);
}

async function packedRefs(own: string): Promise<ReadonlyMap<string, string> | undefined> {
  const text = await readFile(join(own, 'packed-refs'), 'latin1').catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  });
  const refs = new Map<string, string>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#') || line.startsWith('^')) continue;
    if (!/^[0-9a-f]{40} refs\/./.test(line)) return undefined;
    const name = line.slice(41);
    if (name.startsWith('refs/tags/') && !isPlainName(name)) return undefined;
    refs.set(name, line.slice(0, 40));
  }
  return refs;
}

function noneThere(error: unknown): [] {
  if (errnoOf(error) === 'ENOENT') return [];
  throw error;
}
