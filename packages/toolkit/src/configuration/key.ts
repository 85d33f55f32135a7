import type { ValueKind } from './value-kind.ts';

/** One key of the configuration. */
export interface Key<T> {
  readonly kind: ValueKind<T>;
  readonly fallback: T | null;
  readonly description: string;
  /**
   * True for what a project must not decide about the host of whoever works in it: its file comes with the repository, and
   * agents can write it.
   */
  readonly userOnly?: true;
}

export function key<T, const F extends T | null>(kind: ValueKind<T>, fallback: F, description: string) {
  return { kind, fallback, description };
}

export function userOnly<T extends Key<unknown>>(of: T) {
  return { ...of, userOnly: true } as const;
}
