import { open, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BundleSink, type OperationId, OpencodeToolsError } from '@opencode-tools/core';
import { type BytePath, toBytePath } from './byte-path.ts';
import { invalid, storeFailure } from './failures.ts';
import type { GitCall, GitRunner } from './git-runner.ts';
import { type StoreLayout, createLayout } from './store-files.ts';

const mostBytes = 4 * 1024 ** 3;
const longMs = 30 * 60_000;
/** The one ref of a bundle, as the sandbox names it. */
const bundleRef = 'refs/opencode-tools/out';
const workRef = 'refs/heads/work';
const signature = /^# v[23] git bundle\n$/;

/** Names that no tree has for a good reason; git only warns of them. */
const unsound = ['hasDot', 'hasDotdot', 'hasDotgit', 'fullPathname', 'nullSha1', 'emptyName', 'zeroPaddedFilemode'];

export function bundlePath(layout: StoreLayout, id: OperationId): string {
  return join(layout.works, `${id}.bundle`);
}

export function barePath(layout: StoreLayout, id: OperationId): string {
  return join(layout.works, `${id}.git`);
}

export async function receiveBundle(layout: StoreLayout, id: OperationId): Promise<BundleSink> {
  await createLayout(layout);
  const file = await open(bundlePath(layout, id), 'w', 0o600);
  let bytes = 0;
  // Pieces come while earlier ones are still written, and the last of them after the command has ended.
  let written = Promise.resolve();
  return {
    write: async (chunk) => {
      bytes += chunk.length;
      if (bytes > mostBytes) {
        throw new OpencodeToolsError(
          'OCT_RESOURCE_LIMIT',
          `The commits of the task take more than ${mostBytes} bytes`,
          {
            details: { limit: 'bundle', valueBytes: mostBytes },
          },
        );
      }
      written = written
        .then(() => file.writeFile(chunk))
        .catch((error: unknown) => {
          throw storeFailure(layout.root, error);
        });
      await written;
    },
    close: async () => {
      try {
        await written;
      } finally {
        await file.close();
      }
    },
  };
}

/** The user's repository, as far as ours leans on it. */
export interface Lender {
  readonly objects: string;
  readonly objectFormat: string;
  /** Lines that say where its history ends; empty for a whole one. */
  readonly shallow: string;
}

/**
 * Makes a bare repository of ours that has the objects of the user's, and takes the bundle in. Every new object is checked. Its
 * configuration is ours, so that whatever git does in it runs nothing.
 *
 * @returns the repository and the commit
 */
export async function takeBundleIn(
  git: GitRunner,
  layout: StoreLayout,
  id: OperationId,
  lender: Lender,
  signal: AbortSignal | undefined,
): Promise<{ readonly bare: string; readonly tip: string }> {
  const bare = barePath(layout, id);
  await assertBundle(bundlePath(layout, id));
  await rm(bare, { recursive: true, force: true });
  const init = ['init', '--quiet', '--bare', '--template=', `--object-format=${lender.objectFormat}`, bare];
  await git.run(init, { cwd: layout.works, signal });
  const alternates = Buffer.from(`${quoted(toBytePath(lender.objects))}\n`, 'latin1');
  await writeFile(join(bare, 'objects', 'info', 'alternates'), alternates);
  if (lender.shallow !== '') await writeFile(join(bare, 'shallow'), lender.shallow);
  const fetch = ['fetch', '--quiet', '--no-write-fetch-head', '--no-tags', bundlePath(layout, id)];
  const call = { cwd: bare, timeoutMs: longMs, signal };
  await git.run([...fetch, `+${bundleRef}:${workRef}`], { ...call, config: ['fetch.fsckObjects=true'] });
  await checkObjects(git, bare, call);
  const tip = await git.run(['rev-parse', '--verify', `${workRef}^{commit}`], { cwd: bare, signal });
  return { bare, tip: tip.toString('utf8').trim() };
}

/** Git before 2.46 takes bundles in without checking what is in them, whatever `fetch.fsckObjects` says. */
async function checkObjects(git: GitRunner, bare: string, call: GitCall): Promise<void> {
  const packs = join(bare, 'objects', 'pack');
  const strict = `--strict=${unsound.map((name) => `${name}=error`).join(',')}`;
  for (const pack of (await readdir(packs)).filter((name) => name.endsWith('.pack')))
    await git.run(['index-pack', strict, '-o', join(bare, 'checked.idx'), join(packs, pack)], call);
}

/** Git takes any other file for one that leads to a repository, which could be anywhere on the host. */
async function assertBundle(path: string): Promise<void> {
  await using file = await open(path, 'r');
  const { buffer, bytesRead } = await file.read(Buffer.alloc(16), 0, 16, 0);
  if (!signature.test(buffer.toString('latin1', 0, bytesRead)))
    throw invalid('What the task gave is no bundle of commits', 'Look at the git of the task.');
}

/** As git reads names that hold what a line cannot. */
function quoted(path: BytePath): string {
  if (!/["\\\n#]/.test(path)) return path;
  return `"${path.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}
