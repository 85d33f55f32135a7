import type { EnvReference } from '../domain/sandbox-spec.ts';

/** Turns references into values at the moment a command needs them; values are never stored. */
export interface SecretResolver {
  /** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` naming the reference that cannot be resolved, never a value. */
  resolve(references: readonly EnvReference[]): Promise<Readonly<Record<string, string>>>;
}
