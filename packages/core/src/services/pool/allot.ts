/** How many sandboxes of a kind there should be more, or fewer. */
export interface Share {
  readonly key: string;
  readonly missing: number;
  readonly surplus: number;
}

/**
 * Divides the places of a pool among the kinds of sandboxes that are asked for: one each, as far as they go, and the rest to
 * the kind that was asked for last.
 *
 * @param wanted keys, the one asked for last first
 * @param held the key of each sandbox that is ready
 */
export function allot(size: number, wanted: readonly string[], held: readonly string[]): readonly Share[] {
  const served = wanted.slice(0, size);
  const rest = size - served.length;
  const due = new Map(served.map((key, index) => [key, 1 + (index === 0 ? rest : 0)]));
  return [...new Set([...served, ...held])].map((key) => {
    const have = held.filter((one) => one === key).length;
    const want = due.get(key) ?? 0;
    return { key, missing: Math.max(0, want - have), surplus: Math.max(0, have - want) };
  });
}
