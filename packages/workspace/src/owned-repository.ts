import { lchownSync, lstatSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isWithin } from '@opencode-tools/core';
import { commonOf } from './find-repository.ts';
import type { GitCall, GitRunner } from './git-runner.ts';

/**
 * A runner for repositories whatever user has them, as an administrator's process that works for a user needs it: a directory of root
 * is never shared with a sandbox. Nothing that they configure is run all the same.
 */
export function inAnyRepository(git: GitRunner): GitRunner {
  const trusting = <T extends Pick<GitCall, 'config'>>(call: T): T => ({
    ...call,
    config: ['safe.directory=*', ...(call.config ?? [])],
  });
  return {
    try: (args, call) => git.try(args, trusting(call)),
    run: (args, call) => git.run(args, trusting(call)),
    stream: (args, call) => git.stream(args, trusting(call)),
  };
}

/** Gives what root made in the repository of a user to that user: objects, the branch, its log and the index. */
export async function giveToOwner(gitDirectory: string, ref: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const common = await commonOf(gitDirectory);
  const { uid, gid } = lstatSync(common);
  if (uid === 0) return;
  const give = (path: string): void => {
    if (lstatSync(path, { throwIfNoEntry: false })?.uid === 0) lchownSync(path, uid, gid);
  };
  const packs = join(common, 'objects', 'pack');
  for (const name of readdirSync(packs)) give(join(packs, name));
  const own = ref === 'HEAD' ? gitDirectory : common;
  const made = [join(gitDirectory, 'index'), join(gitDirectory, 'logs/HEAD'), join(own, ref), join(own, 'logs', ref)];
  for (const path of [packs, ...made]) for (let at = path; isWithin(at, common); at = dirname(at)) give(at);
}
