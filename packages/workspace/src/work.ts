import { rm } from 'node:fs/promises';
import type { ApplyWork, Logger, SteeringFacts, WorkPort } from '@opencode-tools/core';
import { applyWork } from './apply-work.ts';
import { barePath } from './bare-repository.ts';
import { BlobIndex } from './blob-index.ts';
import { BlobReader } from './blob-reader.ts';
import { checkTarget } from './check-directory.ts';
import { commitWork } from './commit-work.ts';
import { errnoOf, storeFailure, throwIfCancelled } from './failures.ts';
import type { HostGit } from './git.ts';
import { type Versions, mergeLines } from './merge-lines.ts';
import { type WorkChange, reviewWork, withLast, workChanges } from './review-work.ts';
import { branchTip, mergeWork } from './merge-work.ts';
import { bundlePath, receiveBundle } from './received-bundle.ts';
import { settleJournal, settleMerge } from './settle-work.ts';
import { SnapshotFiles } from './snapshot-files.ts';
import { createLayout, layoutOf } from './store-files.ts';
import { StoreUses } from './store-uses.ts';
import { WorkJournals } from './work-journal.ts';

/** Reads the frozen trees of the content store in the directory, and brings their work into directories of the user. */
export function createWork(options: {
  readonly directory: string;
  readonly git: HostGit;
  /** Whose `HOME` is kept from work that is applied. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Looks for what programs of the host run or obey; nothing is applied there. */
  readonly steering?: () => Promise<SteeringFacts>;
  readonly logger: Logger;
}): WorkPort {
  const layout = layoutOf(options.directory);
  const index = new BlobIndex(layout, options.logger);
  const snapshots = new SnapshotFiles(layout, index);
  const uses = new StoreUses(layout, () => createLayout(layout));
  const journals = new WorkJournals(layout);
  const places = { store: options.directory, userHome: options.environment['HOME'], steering: options.steering };
  const between = async (fromId: string | null, toId: string): Promise<readonly WorkChange[]> => {
    const { from, to } = await snapshots.loadApart(fromId, toId);
    return workChanges(from, to);
  };
  return {
    review: async (fromId, toId) => {
      await using _ = await uses.begin();
      const changes = await between(fromId, toId);
      using blobs = new BlobReader(index, toId);
      return reviewWork(changes, blobs);
    },
    target: async (directory) => checkTarget(directory, places),
    apply: async (work: ApplyWork) => {
      const directory = await checkTarget(work.directory, places);
      await using _ = await uses.begin();
      const sinceStart = await between(work.fromId, work.toId);
      const changes = work.lastId == null ? sinceStart : withLast(sinceStart, await between(work.lastId, work.toId));
      throwIfCancelled(work.signal);
      using blobs = new BlobReader(index, work.toId);
      try {
        const merge = (versions: Versions) => mergeLines(options.git.runner, layout, versions, work.signal);
        return await applyWork({ ...work, directory }, changes, { blobs, journals, merge });
      } catch (error) {
        throw errnoOf(error) === undefined ? error : storeFailure(directory, error);
      }
    },
    settle: async (operationId) => {
      const journal = await journals.find(operationId);
      if (journal === undefined) return { outcome: 'none', left: [], saved: null };
      return 'steps' in journal ? settleJournal(journal) : settleMerge(options.git, journal);
    },
    branchTip: async (repository, branch) => branchTip(await options.git.find(repository), branch),
    receive: (operationId) => receiveBundle(layout, operationId),
    merge: (work) => mergeWork({ git: options.git, layout, journals }, work),
    commit: (work) => commitWork({ git: options.git, layout, journals }, work),
    forget: async (operationId) => {
      for (const path of [bundlePath(layout, operationId), barePath(layout, operationId)])
        await rm(path, { recursive: true, force: true });
      await journals.remove(operationId);
    },
    known: () => journals.list(),
  };
}
