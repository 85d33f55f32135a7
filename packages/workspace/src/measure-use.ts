import type { GroupUsage } from '@opencode-tools/core';

/** A thing on disk that groups need, by its name, and its bytes. */
export type Needed = ReadonlyMap<string, number>;

/** Says for each of the groups what it needs, what it needs alone, and what it needs that none before it does. */
export function measureUse(groups: readonly Needed[]): readonly GroupUsage[] {
  const first = new Map<string, number>();
  const shared = new Set<string>();
  groups.forEach((group, at) => {
    for (const name of group.keys()) {
      if (first.has(name)) shared.add(name);
      else first.set(name, at);
    }
  });
  return groups.map((group, at) => {
    let [bytes, ownBytes, addedBytes] = [0, 0, 0];
    for (const [name, size] of group) {
      bytes += size;
      if (first.get(name) === at) addedBytes += size;
      if (!shared.has(name)) ownBytes += size;
    }
    return { bytes, ownBytes, addedBytes };
  });
}

export function addUsage(one: readonly GroupUsage[], other: readonly GroupUsage[]): readonly GroupUsage[] {
  return one.map(({ bytes, ownBytes, addedBytes }, at) => ({
    bytes: bytes + (other[at]?.bytes ?? 0),
    ownBytes: ownBytes + (other[at]?.ownBytes ?? 0),
    addedBytes: addedBytes + (other[at]?.addedBytes ?? 0),
  }));
}
