/** The oldest version of the engine's API that has all we need: that of Engine 20.10. */
export const oldestApiVersion = '1.41';

/** What an engine says of the versions that it speaks. */
export interface SpokenVersions {
  /** The newest. */
  readonly ApiVersion?: string;
  /** The oldest. */
  readonly MinAPIVersion?: string;
  /** Of the machine that the engine is on, such as `amd64`. */
  readonly Arch?: string;
}

/**
 * Chooses the version to speak: the oldest that the engine still takes, from the oldest that has all we need, so that what a
 * call means changes as little as possible from engine to engine. Undefined when the engine is too old.
 */
export function chooseApiVersion(spoken: SpokenVersions): string | undefined {
  const newest = spoken.ApiVersion ?? '';
  const oldest = spoken.MinAPIVersion ?? '';
  if (!isVersion(newest) || compare(newest, oldestApiVersion) < 0) return undefined;
  return isVersion(oldest) && compare(oldest, oldestApiVersion) > 0 ? oldest : oldestApiVersion;
}

function isVersion(text: string): boolean {
  return /^\d+\.\d+$/.test(text);
}

function compare(left: string, right: string): number {
  const [major = 0, minor = 0] = left.split('.').map(Number);
  const [otherMajor = 0, otherMinor = 0] = right.split('.').map(Number);
  return major - otherMajor || minor - otherMinor;
}
