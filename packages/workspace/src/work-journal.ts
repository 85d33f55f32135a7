import { readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type OperationId, isId } from '@opencode-tools/core';
import type { BytePath } from './byte-path.ts';
import type { IndexChange } from './git-index.ts';
import { errnoOf } from './failures.ts';
import { type StoreLayout, createLayout, writeDurably } from './store-files.ts';
import type { WorkStep } from './work-steps.ts';

const suffix = '.json';

/** What a change of a directory of the user is going to do, known before it does anything. */
export interface WorkJournal {
  readonly operationId: OperationId;
  readonly root: BytePath;
  /** Name of the directory in the root where files wait and go aside. */
  readonly staging: string;
  readonly steps: readonly WorkStep[];
  /** True once all steps are done: from then on nothing is undone. */
  readonly done: boolean;
}

/** Where a branch of the user is to go. */
export interface MergeJournal {
  readonly operationId: OperationId;
  readonly repository: string;
  readonly ref: string;
  /** Null for a branch that is made. */
  readonly old: string | null;
  readonly commit: string;
  /** Work tree that goes along. */
  readonly workTree: string | null;
  /** Where git has to look, when it is not to find the repository itself. */
  readonly gitDirectory?: string;
  /** What the index of the work tree at `repository` gets, when no file is to change. */
  readonly index?: readonly IndexChange[];
}

/** Keeps journals in the store, flushed, by operation. */
export class WorkJournals {
  readonly #layout: StoreLayout;

  constructor(layout: StoreLayout) {
    this.#layout = layout;
  }

  async write(journal: WorkJournal | MergeJournal): Promise<void> {
    await createLayout(this.#layout);
    await writeDurably(this.#layout, this.#pathOf(journal.operationId), [Buffer.from(JSON.stringify(journal))]);
  }

  async find(id: OperationId): Promise<WorkJournal | MergeJournal | undefined> {
    try {
      return JSON.parse(await readFile(this.#pathOf(id), 'utf8')) as WorkJournal | MergeJournal;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  async remove(id: OperationId): Promise<void> {
    await rm(this.#pathOf(id), { force: true });
  }

  async list(): Promise<readonly OperationId[]> {
    const names = await readdir(this.#layout.works).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return [];
      throw error;
    });
    const ids = new Set(names.map((name) => name.replace(/\.[a-z]+$/, '')));
    return [...ids].filter((id): id is OperationId => isId('operation', id));
  }

  #pathOf(id: OperationId): string {
    return join(this.#layout.works, `${id}${suffix}`);
  }
}
