import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { OperationId } from '@opencode-tools/core';
import { type BytePath, toBytePath } from './byte-path.ts';
import type { GitRunner } from './git-runner.ts';
import type { StoreLayout } from './store-files.ts';

const longMs = 30 * 60_000;
const resultRef = 'refs/heads/result';

/** The user's repository, as far as ours leans on it. */
interface Lender {
  readonly objects: string;
  readonly objectFormat: string;
  /** Lines that say where its history ends; empty for a whole one. */
  readonly shallow: string;
}

export function barePath(layout: StoreLayout, id: OperationId): string {
  return join(layout.works, `${id}.git`);
}

/**
 * Makes a bare repository of ours for an operation, that has the objects of the user's. Its configuration is ours, so that whatever git
 * does in it runs nothing.
 */
export async function makeBare(
  git: GitRunner,
  layout: StoreLayout,
  id: OperationId,
  top: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const lender = await lenderOf(git, top);
  const bare = barePath(layout, id);
  await rm(bare, { recursive: true, force: true });
  const init = ['init', '--quiet', '--bare', '--template=', `--object-format=${lender.objectFormat}`, bare];
  await git.run(init, { cwd: layout.works, signal });
  const alternates = Buffer.from(`${quoted(toBytePath(lender.objects))}\n`, 'latin1');
  await writeFile(join(bare, 'objects', 'info', 'alternates'), alternates);
  if (lender.shallow !== '') await writeFile(join(bare, 'shallow'), lender.shallow);
  return bare;
}

/** Gives the user's repository the objects. No ref leads to them yet, so that git removes them some day when none ever does. */
export async function lend(git: GitRunner, top: string, bare: string, commit: string): Promise<void> {
  await git.run(['update-ref', resultRef, commit], { cwd: bare });
  const args = ['fetch', '--quiet', '--no-write-fetch-head', '--no-tags', bare, resultRef];
  const config = ['fetch.unpackLimit=1', 'core.alternateRefsCommand=true', 'fetch.writeCommitGraph=false'];
  await git.run(args, { cwd: top, config, timeoutMs: longMs });
}

/** Where git keeps what belongs to one work tree alone. */
export async function gitDirectory(git: GitRunner, top: string): Promise<string> {
  return oneName(git, top, '--git-dir');
}

/** Where a repository keeps a file of its own, which work trees may share. */
export async function gitPath(git: GitRunner, top: string, name: string): Promise<string> {
  return oneName(git, top, '--git-path', name);
}

async function lenderOf(git: GitRunner, top: string): Promise<Lender> {
  return {
    objects: await gitPath(git, top, 'objects'),
    objectFormat: await oneName(git, top, '--show-object-format'),
    shallow: await readFile(await gitPath(git, top, 'shallow'), 'utf8').catch(() => ''),
  };
}

async function oneName(git: GitRunner, cwd: string, ...args: readonly string[]): Promise<string> {
  const said = await git.run(['rev-parse', '--path-format=absolute', ...args], { cwd });
  return said.toString('utf8').replace(/\n$/, '');
}

/** As git reads names that hold what a line cannot. */
function quoted(path: BytePath): string {
  if (!/["\\\n#]/.test(path)) return path;
  return `"${path.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}
