import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type BundleSink, type OperationId, OpencodeToolsError } from '@opencode-tools/core';
import { type Lender, makeBare } from './bare-repository.ts';
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

/**
 * Takes the bundle into a repository of ours that has the objects of the user's. Every new object is checked.
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
  await assertBundle(bundlePath(layout, id));
  const bare = await makeBare(layout, id, lender);
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
