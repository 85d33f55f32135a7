import type { OperationId } from '../domain/ids.ts';
import type { Tripwire } from '../policy/tripwires.ts';

/**
 * Compares directories of the host that a sandbox writes to with what they were, by what tripwires look at. Nothing of a
 * directory is run, and no symbolic link in it is followed.
 */
export interface DirectoryWatch {
  /**
   * Notes what a directory is before something that is known by an operation may change it.
   *
   * @param directory real path
   * @param options.durable true keeps the note in a file, so that any process of the home may compare; else it goes with this one
   * @throws OpencodeToolsError `OCT_RESOURCE_LIMIT` for a directory of more than 500,000 files
   */
  note(operationId: OperationId, directory: string, options: { readonly durable: boolean }): Promise<void>;
  /**
   * Lists the tripwires among what changed since, those near the top first. `.git` at the top is left out. Repeating it compares
   * anew.
   *
   * @returns null when nothing is noted
   * @throws as `note`
   */
  compare(operationId: OperationId): Promise<readonly Tripwire[] | null>;
  /** Idempotent. */
  forget(operationId: OperationId): Promise<void>;
}
