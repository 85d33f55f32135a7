import { type ChangedFile, meaningfulText } from '@opencode-tools/core';
import { type BytePath, toText } from './byte-path.ts';
import { invalid } from './failures.ts';
import type { GitRunner } from './git-runner.ts';
import { markChanges, treesFor } from './mark-changes.ts';

const mostTextBytes = 1024 ** 2;
const objectsAtOnce = 500;
const gitlink = '160000';
const symlink = '120000';
const executable = '100755';
const asRaw = ['diff-tree', '-r', '-z', '--raw', '--no-renames', '--full-index', '--no-ext-diff'];

/** One line of `git diff-tree --raw`. */
export interface RawChange {
  readonly path: BytePath;
  /** Modes as git writes them; null for nothing. */
  readonly modes: readonly [before: string | null, after: string | null];
  readonly objects: readonly [before: string, after: string];
}

/** What differs between two commits, without renames. */
export async function rawChanges(git: GitRunner, cwd: string, from: string, to: string): Promise<readonly RawChange[]> {
  return readRaw(await git.run([...asRaw, from, to], { cwd, timeoutMs: 300_000 }));
}

/** What each of these commits differs in from its parents, without renames; what several do comes several times. */
export async function rawChangesOfEach(
  git: GitRunner,
  cwd: string,
  commits: readonly string[],
): Promise<readonly RawChange[]> {
  if (commits.length === 0) return [];
  const args = [...asRaw, '--stdin', '--no-commit-id', '-m', '--root'];
  return readRaw(await git.run(args, { cwd, timeoutMs: 300_000, input: Buffer.from(`${commits.join('\n')}\n`) }));
}

function readRaw(output: Buffer): readonly RawChange[] {
  const fields = output.toString('latin1').split('\0');
  const changes: RawChange[] = [];
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const [before = '', after = '', one = '', other = ''] = (fields[index] ?? '').replace(/^:/, '').split(' ');
    const mode = (text: string): string | null => (/^0+$/.test(text) ? null : text);
    changes.push({ path: fields[index + 1] ?? '', modes: [mode(before), mode(after)], objects: [one, other] });
  }
  return changes;
}

/** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for submodules, and for names that lead elsewhere */
export function refuseUnsound(changes: readonly RawChange[]): void {
  const modules = changes.filter(({ modes: [, after] }) => after === gitlink).map(({ path }) => toText(path));
  if (modules.length > 0)
    throw invalid(
      `The work has repositories in it, which are not brought along: ${modules.slice(0, 5).join(', ')}`,
      'Remove their .git in the task, or keep them out by .gitignore.',
      { paths: modules.slice(0, 100) },
    );
  const odd = changes.find(({ path }) => /(^|\/)(\.git|\.\.?)?(\/|$)/i.test(path));
  if (odd !== undefined)
    throw invalid(`The work has a path that git obeys: ${toText(odd.path)}`, 'Remove it in the task.', {
      path: toText(odd.path),
    });
}

/**
 * Describes changes as tripwires look at them.
 *
 * @param ends commits or trees: what was there before all of them, and what is in the end
 */
export async function describeChanges(
  git: GitRunner,
  cwd: string,
  changes: readonly RawChange[],
  ends: { readonly from: string; readonly to: string },
): Promise<readonly ChangedFile[]> {
  const texts = await readTexts(git, cwd, [...new Set(changes.flatMap(telling))]);
  const marks = await marksOf(git, cwd, changes, ends);
  return changes.map((change, at) => {
    const { path, modes, objects } = change;
    const [before, after] = modes;
    const read = telling(change);
    const text = (index: 0 | 1): string | null =>
      isFile(modes[index]) && read.includes(objects[index]) ? (texts.get(objects[index]) ?? null) : null;
    return {
      path: toText(path),
      change: changeOf(change),
      type: (after ?? before) === symlink ? 'symlink' : 'file',
      modes: [bitsOf(before), bitsOf(after)],
      // What is too long to look at counts as leaving the tree.
      target: after === symlink ? (texts.get(objects[1]) ?? '/') : '',
      texts: [text(0), text(1)],
      ...marks[at],
    };
  });
}

function changeOf({ modes: [before, after] }: RawChange): ChangedFile['change'] {
  return before === null ? 'added' : after === null ? 'deleted' : 'modified';
}

async function marksOf(
  git: GitRunner,
  cwd: string,
  raw: readonly RawChange[],
  { from, to }: { readonly from: string; readonly to: string },
) {
  const changes = raw.map((change) => {
    const { path, modes, objects } = change;
    const becomes = modes[1] === executable && modes[0] !== executable;
    return { path: toText(path), change: changeOf(change), executable: becomes ? objects[1] : undefined };
  });
  const list = async (tree: string, isAsked: boolean): Promise<readonly string[]> => {
    if (!isAsked) return [];
    const out = await git.run(['ls-tree', '-r', '-t', '-z', '--full-tree', tree], { cwd, timeoutMs: 300_000 });
    return out.toString('utf8').split('\0');
  };
  const asked = treesFor(changes);
  const [before, after] = [await list(from, asked.before), await list(to, asked.after)];
  const standing = new Set(after.map((line) => line.slice(line.indexOf('\t') + 1)));
  return markChanges(changes, {
    stands: (path) => standing.has(path),
    executables: () =>
      new Set(before.filter((line) => line.startsWith(executable)).map((line) => line.split(/[ \t]/)[2] ?? '')),
  });
}

/** Objects whose content says whether a change matters. */
function telling({ path, modes, objects: [one, other] }: RawChange): readonly string[] {
  const link = modes[1] === symlink ? [other] : [];
  if (!meaningfulText.test(toText(path))) return link;
  return [...link, ...(isFile(modes[0]) ? [one] : []), ...(isFile(modes[1]) ? [other] : [])];
}

function isFile(mode: string | null): boolean {
  return mode?.startsWith('100') === true;
}

function bitsOf(mode: string | null): number | null {
  return mode !== null && isFile(mode) ? Number.parseInt(mode, 8) & 0o7777 : null;
}

/** Reads objects by one process, whatever their number; those that are too long are left out. */
async function readTexts(
  git: GitRunner,
  cwd: string,
  objects: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  if (objects.length === 0) return texts;
  const ask = (names: readonly string[]) => ({ cwd, input: Buffer.from(`${names.join('\n')}\n`), timeoutMs: 300_000 });
  const sizes = (await git.run(['cat-file', '--batch-check=%(objectname) %(objectsize)'], ask(objects))).toString();
  const short = sizes.split('\n').flatMap((line) => {
    const [name = '', size = ''] = line.split(' ');
    return /^\d+$/.test(size) && Number(size) <= mostTextBytes ? [name] : [];
  });
  for (let from = 0; from < short.length; from += objectsAtOnce) {
    const names = short.slice(from, from + objectsAtOnce);
    const out = await git.run(['cat-file', '--batch=%(objectsize)'], ask(names));
    let at = 0;
    for (const name of names) {
      const end = out.indexOf(10, at);
      const size = Number(out.toString('latin1', at, end));
      texts.set(name, out.toString('utf8', end + 1, end + 1 + size));
      at = end + 1 + size + 1;
    }
  }
  return texts;
}
