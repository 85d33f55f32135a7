import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { type ImageEntry, directory, imageTree } from './busybox-image.ts';

const needed =
  'sh cat chmod chown comm cp cut date dd du env false find flock grep head id kill ln ls mkdir mkfifo mv printf pwd readlink rm rmdir sed seq setpriv setsid sha256sum sleep sort stat sync tail tar touch tr true truncate wc xargs';
/** What every test image has. */
const made = new Set(['bin/', 'usr/', 'usr/bin/']);
/** Taken along when this machine has them. */
const wanted = 'git rg';

/**
 * Gives the root file system of an image with the GNU programs of this machine and the libraries that they load, as a tar: what
 * most images have, without fetching any.
 */
export function hostProgramsTree(): Buffer {
  const directories = new Set<string>();
  const entries = new Map<string, ImageEntry>();
  const add = (name: string, source: string): void => {
    for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1)) directories.add(name.slice(0, at + 1));
    entries.set(name, { name, type: 'file', mode: 0o755, content: readFileSync(source) });
  };
  for (const program of [...needed.split(' '), ...wanted.split(' ')]) {
    const path = programPath(program);
    if (path === undefined) continue;
    add(`bin/${program}`, realpathSync(path));
    for (const library of librariesOf(path)) add(library.slice(1), realpathSync(library));
  }
  const above = [...directories]
    .filter((name) => !made.has(name))
    .sort()
    .map((name) => directory(name));
  return imageTree(true, [...above, ...entries.values()]);
}

function programPath(program: string): string | undefined {
  const found = ['/bin', '/usr/bin', '/usr/sbin', '/sbin'].map((place) => `${place}/${program}`).find(existsSync);
  if (found === undefined && needed.split(' ').includes(program))
    throw new Error(`The tests of files make an image from the programs of this machine, which lacks ${program}`);
  return found;
}

function librariesOf(path: string): readonly string[] {
  const { stdout } = spawnSync('ldd', [path], { encoding: 'utf8' });
  return [...stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, library = '']) => library);
}
