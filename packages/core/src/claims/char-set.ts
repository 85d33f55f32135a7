/** Sorted, disjoint, inclusive ranges of code points. */
export type CharSet = readonly (readonly [low: number, high: number])[];

const slash = 0x2f;
const dot = 0x2e;

/** Every character that a path segment can hold: no NUL, no slash, no surrogate. */
export const anyCharacter: CharSet = [
  [1, dot],
  [slash + 1, 0xd7ff],
  [0xe000, 0x10ffff],
];

export const separator: CharSet = [[slash, slash]];

export function oneCharacter(codePoint: number): CharSet {
  return ascii[codePoint] ?? [[codePoint, codePoint]];
}

/** One object per common character, so that what is found out about a pair of sets can be kept. */
const ascii: readonly CharSet[] = Array.from({ length: 128 }, (_, codePoint) => [[codePoint, codePoint]]);

/** Brings ranges into order, joins those that touch, and leaves out what no segment can hold. */
export function charSet(ranges: CharSet): CharSet {
  const joined: [number, number][] = [];
  for (const [low, high] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const last = joined.at(-1);
    if (last !== undefined && low <= last[1] + 1) last[1] = Math.max(last[1], high);
    else joined.push([low, high]);
  }
  return intersect(joined, anyCharacter);
}

export function complement(set: CharSet): CharSet {
  const rest: [number, number][] = [];
  let from = 0;
  for (const [low, high] of set) {
    if (low > from) rest.push([from, low - 1]);
    from = high + 1;
  }
  rest.push([from, 0x10ffff]);
  return intersect(rest, anyCharacter);
}

export function intersect(a: CharSet, b: CharSet): CharSet {
  const common: [number, number][] = [];
  let i = 0;
  let j = 0;
  for (;;) {
    const left = a[i];
    const right = b[j];
    if (left === undefined || right === undefined) return common;
    const low = Math.max(left[0], right[0]);
    const high = Math.min(left[1], right[1]);
    if (low <= high) common.push([low, high]);
    if (left[1] < right[1]) i += 1;
    else j += 1;
  }
}

export function holds(set: CharSet, codePoint: number): boolean {
  return set.some(([low, high]) => low <= codePoint && codePoint <= high);
}

/** A member to show to people: a letter or digit when there is one; undefined for an empty set. */
export function exampleOf(set: CharSet): number | undefined {
  for (const preferred of preferredExamples) if (holds(set, preferred)) return preferred;
  return set[0]?.[0];
}

const preferredExamples = Array.from('xabcdefghijklmnopqrstuvwyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_-').map(
  (letter) => letter.codePointAt(0) ?? 0,
);
