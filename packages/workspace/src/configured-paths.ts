import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Environment } from './extract-tar.ts';
import type { GitCall, GitRunner } from './git-runner.ts';
import { type ConfigurationEntry, readConfiguration } from './read-configuration.ts';

/** A path that git reads or runs, since its configuration says so. */
export interface ConfiguredPath {
  readonly path: string;
  readonly key: string;
  /** `named`: the setting is the path. `program`: a setting that is run begins with it. `word`: it is among what is run, and may be no path at all. */
  readonly use: 'named' | 'program' | 'word';
}

const placesOfSettings = ['GIT_CONFIG_NOSYSTEM', 'GIT_CONFIG_GLOBAL', 'GIT_CONFIG_SYSTEM'];
const includes = /^include(?:if\..*)?\.path$/s;
const named = /^(?:core\.(?:hookspath|attributesfile)|init\.templatedir)$/;
/** Settings whose value git runs, or gives to a shell. */
const programs = new RegExp(
  `^(?:${[
    String.raw`core\.(?:fsmonitor|pager|editor|sshcommand|askpass|gitproxy|alternaterefscommand)`,
    String.raw`(?:pager|alias)\..*|sequence\.editor|interactive\.difffilter|uploadpack\.packobjectshook`,
    String.raw`credential\.(?:.*\.)?helper|gpg\.(?:.*\.)?(?:program|defaultkeycommand)`,
    String.raw`diff\.external|diff\..*\.(?:command|textconv)|merge\..*\.driver|filter\..*\.(?:clean|smudge|process)`,
    String.raw`(?:difftool|mergetool|browser|man|guitool)\..*\.(?:cmd|path)|trailer\..*\.(?:command|cmd)|hook\..*\.command`,
    String.raw`remote\..*\.(?:uploadpack|receivepack)|submodule\..*\.update|sendemail\.(?:.*\.)?(?:smtpserver|sendmailcmd|tocmd|cccmd)`,
  ].join('|')})$`,
  's',
);
const deepestInclude = 10;

/**
 * Finds the paths in git's configuration of a repository, of the user and of the host, and the files that say so, also those that are included under a
 * condition which does not hold here.
 *
 * @param call of the repository, at the top of its work tree
 * @param own environment of the user, which says where the user's and the host's configuration are
 */
export async function findConfiguredPaths(
  git: GitRunner,
  call: GitCall,
  own: Environment,
): Promise<readonly ConfiguredPath[]> {
  const environment = { ...call.environment, ...Object.fromEntries(placesOfSettings.map((name) => [name, own[name]])) };
  const theirs = { ...call, environment };
  const entries = [...(await readConfiguration(git, theirs))];
  const read = new Set(entries.map(({ file }) => file));
  for (let deep = 0, from: readonly ConfigurationEntry[] = entries; deep < deepestInclude; deep += 1) {
    const more: ConfigurationEntry[] = [];
    for (const { file, key, value } of from) {
      const path = includes.test(key) ? fullPath(value, dirname(file), own) : undefined;
      if (path === undefined || read.has(path) || !(await isFile(path))) continue;
      read.add(path);
      // One that git cannot read says nothing.
      more.push(...(await readConfiguration(git, theirs, path).catch(() => [])));
    }
    entries.push(...more);
    from = more;
  }
  const files = [...read].map((path) => ({ path, key: 'configuration', use: 'word' as const }));
  return [...files, ...entries.flatMap((entry) => pathsIn(entry, call.cwd, own))];
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() === true;
}

function pathsIn({ file, key, value }: ConfigurationEntry, top: string, own: Environment): readonly ConfiguredPath[] {
  if (value === '') return [];
  if (includes.test(key)) return [{ path: fullPath(value, dirname(file), own), key, use: 'named' }];
  if (named.test(key)) return [{ path: fullPath(value, top, own), key, use: 'named' }];
  if (!programs.test(key)) return [];
  const text = value.replace(/^!/, '').trim();
  const quoted = [...text.matchAll(/"([^"]*)"|'([^']*)'/g)].map(([, one, other]) => one ?? other ?? '');
  const words = text.split(/["'\s=;|&()<>`]+/).filter((word) => word !== '');
  const begins = [text, /^["']/.test(text) ? quoted[0] : words[0]];
  return [...new Set([text, ...quoted, ...words])]
    .filter((word) => word.includes('/') && !word.includes('\n'))
    .map((word) => {
      const isProgram = begins.includes(word) && !/\s/.test(word) && /^[/~$]/.test(word);
      return { path: fullPath(word, top, own), key, use: isProgram ? 'program' : 'word' };
    });
}

function fullPath(value: string, base: string, own: Environment): string {
  return resolve(
    base,
    value.replace(/^(?:~|\$HOME|\$\{HOME\})(?=\/)/, () => own['HOME'] ?? '~'),
  );
}
