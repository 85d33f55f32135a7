import { realpath } from 'node:fs/promises';
import { isAbsolute, join, resolve } from 'node:path';
import { OpencodeToolsError, isWithin } from '@opencode-tools/core';
import type { GitRunner } from './git-runner.ts';

const conversions = /^core\.(filemode|symlinks|autocrlf|eol|ignorecase|excludesfile|attributesfile)$/;
const author = /^([^<>\n\0]*[^<>\s\0]) <([^<>\s\0]*)>$/;

/** What the user's git would obey when it takes files in, and runs nothing. */
export interface UserSettings {
  /** For the command line of git in a repository of ours. */
  readonly config: readonly string[];
  /** Names of filters that would run a program. */
  readonly filters: ReadonlySet<string>;
  readonly name: string | undefined;
  readonly email: string | undefined;
}

/**
 * Reads the configuration of a repository, of the user and of the host. What a file in such a directory says counts for nothing, however
 * it is led to, unless it is in its `.git`: a sandbox can write it.
 *
 * @param top of the work tree
 * @param bound directories that sandboxes have
 */
export async function readUserSettings(git: GitRunner, top: string, bound: readonly string[]): Promise<UserSettings> {
  const environment = { GIT_CONFIG_NOSYSTEM: undefined, GIT_CONFIG_GLOBAL: undefined };
  const args = ['config', '-z', '--list', '--show-origin', '--includes'];
  const words = (await git.run(args, { cwd: top, environment })).toString('utf8').split('\0');
  const values = new Map<string, string>();
  for (let at = 0; at + 1 < words.length; at += 2) {
    const [origin = '', entry = ''] = words.slice(at, at + 2);
    if (!origin.startsWith('file:') || (await isWritable(resolve(top, origin.slice('file:'.length)), bound))) continue;
    const key = entry.split('\n', 1)[0] ?? '';
    values.set(key, entry.length === key.length ? 'true' : entry.slice(key.length + 1));
  }
  const filters = [...values]
    .filter(([key, value]) => /^filter\..*\.(clean|process)$/.test(key) && value !== '')
    .map(([key]) => key.slice('filter.'.length, key.lastIndexOf('.')));
  return {
    config: ['core.safecrlf=false', ...[...values].filter(([key]) => conversions.test(key)).map(asArgument(top))],
    filters: new Set(filters),
    name: values.get('user.name'),
    email: values.get('user.email'),
  };
}

/**
 * The environment by which a commit gets its author, and the user as who committed it.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` when nobody says who that is
 */
export function identityOf(given: string | null, { name, email }: UserSettings): Readonly<Record<string, string>> {
  const found = given === null ? undefined : author.exec(given);
  if (given !== null && !found)
    throw unknown(`The author is ${JSON.stringify(given.slice(0, 80))}`, 'Give it as `Name <address>`.');
  const [by, at] = found ? [found[1], found[2]] : [name, email];
  if (!by || at === undefined)
    throw unknown('Nobody says who the author is', 'Give an author, or set user.name and user.email of git.');
  return {
    GIT_AUTHOR_NAME: by,
    GIT_AUTHOR_EMAIL: at,
    GIT_COMMITTER_NAME: name && email !== undefined ? name : by,
    GIT_COMMITTER_EMAIL: name && email !== undefined ? email : at,
  };
}

const asArgument =
  (top: string) =>
  ([key, value]: readonly [string, string]): string => {
    const isPath = key.endsWith('file') && value !== '' && !value.startsWith('~') && !isAbsolute(value);
    return `${key}=${isPath ? join(top, value) : value}`;
  };

async function isWritable(file: string, bound: readonly string[]): Promise<boolean> {
  const place = await realpath(file).catch(() => file);
  return bound.some((directory) => isWithin(place, directory) && !isWithin(place, join(directory, '.git')));
}

function unknown(message: string, remedy: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', message, { remedy, details: { argument: 'author' } });
}
