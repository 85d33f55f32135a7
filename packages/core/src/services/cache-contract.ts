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
}

export interface CacheService {
  /** What the engine has, by name. */
  list(): Promise<readonly CacheFacts[]>;
  /**
   * Removes the volumes of a cache with all that is in them; the next sandbox that has it begins with an empty one.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` when there is none of that name, or a sandbox has it
   */
  remove(name: string, call: Call): Promise<readonly CacheFacts[]>;
}
