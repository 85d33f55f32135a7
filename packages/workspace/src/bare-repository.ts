import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { OperationId } from '@opencode-tools/core';
import { type BytePath, toBytePath } from './byte-path.ts';
import type { GitRunner } from './git-runner.ts';
import type { StoreLayout } from './store-files.ts';

const longMs = 30 * 60_000;
const resultRef = 'refs/heads/result';

/** The user's repository, as far as ours leans on it. */
export interface Lender {
  readonly commonDirectory: string;
  /** Digits of a name of an object. */
  readonly idLength: number;
}

export function barePath(layout: StoreLayout, id: OperationId): string {
  return join(layout.works, `${id}.git`);
}

/**
 * Makes a bare repository of ours for an operation, that has the objects of the user's. Its configuration is ours, so that whatever git
 * does in it runs nothing.
 */
export async function makeBare(
  layout: StoreLayout,
  id: OperationId,
  { commonDirectory, idLength }: Lender,
): Promise<string> {
  const bare = barePath(layout, id);
  await rm(bare, { recursive: true, force: true });
  for (const place of ['info', 'objects/info', 'objects/pack', 'refs/heads'])
    await mkdir(join(bare, place), { recursive: true, mode: 0o700 });
  const format = idLength === 64 ? [1, '[extensions]\n\tobjectformat = sha256\n'] : [0, ''];
  const core = `[core]\n\trepositoryformatversion = ${format[0]}\n\tfilemode = true\n\tbare = true\n`;
  await writeFile(join(bare, 'config'), `${core}${format[1]}`);
  const alternates = `${quoted(toBytePath(join(commonDirectory, 'objects')))}\n`;
  await writeFile(join(bare, 'objects', 'info', 'alternates'), Buffer.from(alternates, 'latin1'));
  // Where its history ends.
  const shallow = await readFile(join(commonDirectory, 'shallow'), 'utf8').catch(() => '');
  if (shallow !== '') await writeFile(join(bare, 'shallow'), shallow);
  // Last, since it makes a repository of it.
  await writeFile(join(bare, 'HEAD'), 'ref: refs/heads/main\n');
  return bare;
}

/** The ref that keeps the objects of an operation in the user's repository, whatever git removes there, until a branch leads to them. */
export function keptRef(id: OperationId): string {
  return `refs/opencode-tools/in/${id}`;
}

export async function dropKept(git: GitRunner, top: string, id: OperationId): Promise<void> {
  await git.try(['update-ref', '-d', keptRef(id)], { cwd: top });
}

/**
 * Gives the user's repository the objects.
 *
 * @param ref that leads to them; without one git removes them some day when none ever does
 */
export async function lend(git: GitRunner, top: string, bare: string, commit: string, ref?: string): Promise<void> {
  await git.run(['update-ref', resultRef, commit], { cwd: bare });
  const from = ref === undefined ? resultRef : `+${resultRef}:${ref}`;
  const args = ['fetch', '--quiet', '--no-write-fetch-head', '--no-tags', bare, from];
  const config = ['fetch.unpackLimit=1', 'core.alternateRefsCommand=true', 'fetch.writeCommitGraph=false'];
  await git.run(args, { cwd: top, config, timeoutMs: longMs });
}

/** As `lend`, by one process: of a commit that was made in ours, which has no other objects of its own. */
export async function lendCommit(
  git: GitRunner,
  { top, commonDirectory, bare }: { readonly top: string; readonly commonDirectory: string; readonly bare: string },
  commit: string,
): Promise<void> {
  const environment = { GIT_ALTERNATE_OBJECT_DIRECTORIES: JSON.stringify(join(bare, 'objects')) };
  const place = join(commonDirectory, 'objects', 'pack');
  await mkdir(place, { recursive: true });
  const args = ['pack-objects', '--quiet', '--delta-base-offset', '--window=0', join(place, 'pack')];
  const objects = await looseObjects(bare);
  const input = Buffer.from(`${objects.join('\n')}\n`);
  const done =
    objects.length > 0 && (await git.try(args, { cwd: top, environment, input, timeoutMs: longMs })).code === 0;
  if (!done) await lend(git, top, bare, commit);
}

/** Names of all objects of ours; none where some are packed, as large files are. */
async function looseObjects(bare: string): Promise<readonly string[]> {
  const objects = join(bare, 'objects');
  if ((await readdir(join(objects, 'pack'))).length > 0) return [];
  const folders = (await readdir(objects)).filter((name) => /^[0-9a-f]{2}$/.test(name));
  const names = folders.map(async (folder) => (await readdir(join(objects, folder))).map((name) => folder + name));
  return (await Promise.all(names)).flat().filter((name) => /^[0-9a-f]+$/.test(name));
}

/** As git reads names that hold what a line cannot. */
function quoted(path: BytePath): string {
  if (!/["\\\n#]/.test(path)) return path;
  return `"${path.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}
