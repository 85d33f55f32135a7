import { realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { OpencodeToolsError, isWithin } from '@opencode-tools/core';
import type { Environment } from './extract-tar.ts';
import type { GitRunner } from './git-runner.ts';
import { readConfiguration } from './read-configuration.ts';

const conversions = /^core\.(filemode|symlinks|autocrlf|eol|ignorecase)$/;
/** Files of rules that git opens by name, and where it looks when none is named. */
const ruleFiles = [
  ['core.excludesfile', '~/.config/git/ignore'],
  ['core.attributesfile', '~/.config/git/attributes'],
] as const;
const placesOfSettings = ['GIT_CONFIG_NOSYSTEM', 'GIT_CONFIG_GLOBAL', 'GIT_CONFIG_SYSTEM'];
const authorForm = /^([^<>\n\0]*[^<>\s\0]) <([^<>\s\0]*)>$/;

/** What the user's git would obey when it takes files in, and runs nothing. */
export interface UserSettings {
  /** For the command line of git in a repository of ours. */
  readonly config: readonly string[];
  /** Names of filters that would run a program. */
  readonly filters: ReadonlySet<string>;
  readonly author: Person;
  readonly committer: Person;
}

interface Person {
  readonly name: string | undefined;
  readonly email: string | undefined;
}

/**
 * Reads the configuration of a repository, of the user and of the host. What a file in such a directory says counts for nothing, however
 * it is led to, unless it is in its `.git`: a sandbox can write it. So it is with a file of rules that a setting names.
 *
 * @param top of the work tree
 * @param bound directories that sandboxes have
 * @param own the environment of the user
 */
export async function readUserSettings(
  git: GitRunner,
  top: string,
  bound: readonly string[],
  own: Environment,
): Promise<UserSettings> {
  const environment = Object.fromEntries(placesOfSettings.map((name) => [name, own[name]]));
  const values = new Map<string, string>();
  for (const { file, key, value } of await readConfiguration(git, { cwd: top, environment }))
    if (!(await isWritable(file, bound))) values.set(key, value);
  const filters = [...values]
    .filter(([key, value]) => /^filter\..*\.(clean|process)$/.test(key) && value !== '')
    .map(([key]) => key.slice('filter.'.length, key.lastIndexOf('.')));
  const config = ['core.safecrlf=false'];
  for (const [key, value] of values) if (conversions.test(key)) config.push(`${key}=${value}`);
  const places = await placesOfRules(
    git,
    top,
    ruleFiles.map(([key, usual]) => values.get(key) ?? usual),
  );
  for (const [at, [key]] of ruleFiles.entries()) {
    const file = places[at] ?? '';
    if (file !== '' && (await isWritable(file, bound))) config.push(`${key}=`);
    else if (values.has(key)) config.push(`${key}=${file && (await realpath(file).catch(() => file))}`);
  }
  return {
    config,
    filters: new Set(filters),
    author: personIn(values, own, 'author'),
    committer: personIn(values, own, 'committer'),
  };
}

/** As git finds it: by the environment, then by what is set for the role, then by what is set for the user. */
function personIn(values: ReadonlyMap<string, string>, own: Environment, role: 'author' | 'committer'): Person {
  const one = (what: 'name' | 'email'): string | undefined =>
    own[`GIT_${role}_${what}`.toUpperCase()] ?? values.get(`${role}.${what}`) ?? values.get(`user.${what}`);
  return { name: one('name'), email: one('email') ?? own['EMAIL'] };
}

/**
 * The environment by which a commit gets its author, and the user as who committed it.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` when nobody says who that is
 */
export function identityOf(
  given: string | null,
  { author: usual, committer: { name, email } }: Pick<UserSettings, 'author' | 'committer'>,
): Readonly<Record<string, string>> {
  const found = given === null ? undefined : authorForm.exec(given);
  if (given !== null && !found)
    throw unknown(`The author is ${JSON.stringify(given.slice(0, 80))}`, 'Give it as `Name <address>`.');
  const [by, at] = found ? [found[1], found[2]] : [usual.name, usual.email];
  if (!by || at === undefined)
    throw unknown('Nobody says who the author is', 'Give an author, or set user.name and user.email of git.');
  return {
    GIT_AUTHOR_NAME: by,
    GIT_AUTHOR_EMAIL: at,
    GIT_COMMITTER_NAME: name && email !== undefined ? name : by,
    GIT_COMMITTER_EMAIL: name && email !== undefined ? email : at,
  };
}

/** Git alone knows what a name that begins with a home stands for; one that it cannot tell is empty. */
async function placesOfRules(git: GitRunner, top: string, values: readonly string[]): Promise<readonly string[]> {
  const asked = values.flatMap((value, at) => (/^[~%]/.test(value) ? [`rules.file${at}=${value}`] : []));
  const said = new Map<string, string>();
  if (asked.length > 0) {
    const args = ['config', '--type=path', '-z', '--get-regexp', '^rules\\.file[0-9]$'];
    const { code, stdout } = await git.try(args, { cwd: top, config: asked });
    // One that git cannot tell ends it for all.
    if (code !== 0 && asked.length > 1)
      return (await Promise.all(values.map((value) => placesOfRules(git, top, [value])))).flat();
    for (const entry of code === 0 ? stdout.toString('utf8').split('\0') : []) {
      const [key = '', ...rest] = entry.split('\n');
      said.set(key, rest.join('\n'));
    }
  }
  return values.map((value, at) =>
    /^[~%]/.test(value) ? (said.get(`rules.file${at}`) ?? '') : value === '' ? value : resolve(top, value),
  );
}

async function isWritable(file: string, bound: readonly string[]): Promise<boolean> {
  const places = [file, await realpath(file).catch(() => file)];
  return bound.some((directory) =>
    places.some((place) => isWithin(place, directory) && !isWithin(place, join(directory, '.git'))),
  );
}

function unknown(message: string, remedy: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', message, { remedy, details: { argument: 'author' } });
}
