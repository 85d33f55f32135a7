import type { EnvReference } from '../domain/sandbox-spec.ts';

/** Turns references into values at the moment a command needs them; values are never stored. */
export interface SecretResolver {
  /** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` naming the reference that cannot be resolved, never a value. */
  resolve(references: readonly EnvReference[]): Promise<Readonly<Record<string, string>>>;
  /**
   * A text of 64 characters by which the same values are known again later, in any process of the home. It tells nothing of them
   * to whoever lacks the key of the home.
   */
  mark(values: readonly Readonly<Record<string, string>>[]): Promise<string>;
}
