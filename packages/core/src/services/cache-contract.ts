import type { Call } from './call.ts';

/** A volume that tasks of a home share for what they download, outside all checkpoints. */
export interface CacheFacts {
  readonly name: string;
  /** Where sandboxes have it; null when the configuration does not name it any more. */
  readonly path: string | null;
  readonly volume: string;
  /** Numeric user whose sandboxes share it. */
  readonly uid: number;
  readonly createdAt: string;
  /** What its files hold; null when that was not asked for, or could not be found out just now. */
  readonly bytes: number | null;
  /** What it may hold; null for any amount. */
  readonly budgetBytes: number | null;
}

export interface CacheService {
  /**
   * What the engine has, by name.
   *
   * @param options.sizes true looks at every file of each; default false
   */
  list(options?: { readonly sizes?: boolean }): Promise<readonly CacheFacts[]>;
  /**
   * Removes caches that hold more than their budget, with all that is in them, where no sandbox has them, stopped ones included: which
   * is for the engine to say, so that none goes while one starts. The housekeeper does so each hour.
   *
   * @returns what was removed
   */
  trim(call: Call): Promise<readonly CacheFacts[]>;
  /**
   * Removes the volumes of a cache with all that is in them; the next sandbox that has it begins with an empty one.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` when there is none of that name, or a sandbox has it
   */
  remove(name: string, call: Call): Promise<readonly CacheFacts[]>;
}
