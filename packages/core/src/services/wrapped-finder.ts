import { type Found, PatternFinder } from './pattern-finder.ts';

export interface WrappedPattern {
  readonly bytes: Uint8Array;
  /** Whether programs break it over lines, as `base64` does. */
  readonly wraps: boolean;
}

/** One text in which is looked, from its beginning on. */
export interface Search<P> {
  /** As `PatternFinder.next`. */
  next(from: number): Found<P> | undefined;
  /** As `PatternFinder.beginning`. */
  beginning(from: number): number;
}

const [newLine, carriageReturn] = [0x0a, 0x0d];
/** Fewer bytes before a line break are taken for the beginning of nothing, or the end of many a line would be kept back. */
const fewest = 4;

/** Finds byte strings, and those that wrap also where line breaks are within them, each by itself. */
export class WrappedFinder<P extends WrappedPattern> {
  readonly #plain: PatternFinder<P>;
  readonly #wrapping: PatternFinder<P> | undefined;

  /** @param patterns at least one, each of two bytes or more */
  constructor(patterns: readonly P[]) {
    this.#plain = new PatternFinder(patterns);
    const wrapping = patterns.filter(({ wraps }) => wraps);
    this.#wrapping = wrapping.length === 0 ? undefined : new PatternFinder(wrapping);
  }

  search(bytes: Uint8Array): Search<P> {
    const plain = remembering((from) => this.#plain.next(bytes, from));
    const joined = this.#wrapping === undefined ? undefined : withoutBreaks(bytes);
    if (this.#wrapping === undefined || joined === undefined)
      return { next: plain, beginning: (from) => this.#plain.beginning(bytes, from) };
    const wrapping = this.#wrapping;
    const { text } = joined;
    const wrapped = remembering((from) => {
      const found = wrapping.next(text, firstFrom(joined, from));
      if (found === undefined) return undefined;
      const at = placeOf(joined, found.at);
      return { ...found, at, length: placeOf(joined, found.at + found.length - 1) + 1 - at };
    });
    return {
      next: (from) => firstOf(plain(from), wrapped(from)),
      beginning: (from) => {
        const at = wrapping.beginning(text, firstFrom(joined, from));
        const place = text.length - at < fewest ? bytes.length : placeOf(joined, at);
        return Math.min(place, this.#plain.beginning(bytes, from));
      },
    };
  }
}

/** Looks again only past what was found last. */
function remembering<P>(look: (from: number) => Found<P> | undefined): (from: number) => Found<P> | undefined {
  let last: { readonly from: number; readonly found: Found<P> | undefined } | undefined;
  return (from) => {
    if (last === undefined || from < last.from || (last.found !== undefined && last.found.at < from))
      last = { from, found: look(from) };
    return last.found;
  };
}

/** The first; of two at one place the longer. */
function firstOf<P>(one: Found<P> | undefined, other: Found<P> | undefined): Found<P> | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  if (one.at === other.at) return one.length < other.length ? other : one;
  return one.at < other.at ? one : other;
}

/** A text without line breaks, as the pieces that are left of it. */
interface Joined {
  readonly text: Uint8Array;
  /** Where each piece begins in it, and where that is. */
  readonly starts: readonly number[];
  readonly places: readonly number[];
}

/** Leaves single line breaks out; empty lines stay, so that no number of them is waited through. Undefined where there are none. */
function withoutBreaks(bytes: Uint8Array): Joined | undefined {
  const text = new Uint8Array(bytes.length);
  const [starts, places]: [number[], number[]] = [[], []];
  let length = 0;
  let begin = 0;
  const keep = (end: number): void => {
    if (end === begin) return;
    starts.push(length);
    places.push(begin);
    text.set(bytes.subarray(begin, end), length);
    length += end - begin;
  };
  let afterBreak = -1;
  for (let at = bytes.indexOf(newLine); at !== -1; at = bytes.indexOf(newLine, at + 1)) {
    const end = bytes[at - 1] === carriageReturn && at > begin ? at - 1 : at;
    const isAlone = end !== afterBreak && !isBreak(bytes, at + 1);
    afterBreak = at + 1;
    if (!isAlone) continue;
    keep(end);
    begin = at + 1;
  }
  // The other half of a break may be still to come.
  const isHalf = bytes.at(-1) === carriageReturn && bytes.length - 1 !== afterBreak;
  if (begin === 0 && !isHalf) return undefined;
  keep(isHalf ? bytes.length - 1 : bytes.length);
  return { text: text.subarray(0, length), starts, places };
}

function isBreak(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === newLine || (bytes[at] === carriageReturn && bytes[at + 1] === newLine);
}

function placeOf({ starts, places }: Joined, at: number): number {
  const piece = lastUpTo(starts, at);
  return (places[piece] as number) + at - (starts[piece] as number);
}

/** The first byte that is at a place or after it. */
function firstFrom({ text, starts, places }: Joined, place: number): number {
  const piece = lastUpTo(places, place);
  if (piece < 0) return 0;
  const end = starts[piece + 1] ?? text.length;
  return Math.min(end, (starts[piece] as number) + place - (places[piece] as number));
}

/** Index of the last that is not more; -1 when all are. */
function lastUpTo(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
