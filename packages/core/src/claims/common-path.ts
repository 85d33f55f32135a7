import type { Automaton } from './automaton.ts';
import { type CharSet, exampleOf, holds, intersect } from './char-set.ts';

/** How far reading has come: no character yet, after a slash, or in a segment that is `.`, `..` or a name so far. */
const nothing = 0;
const afterSlash = 1;
const oneDot = 2;
const twoDots = 3;
const named = 4;
const phases = 5;

const slash = 0x2f;
const dot = 0x2e;

interface Search {
  readonly a: Automaton;
  readonly b: Automaton;
  /** For each visited triple, the triple before it plus one; 0 is unvisited. */
  readonly from: Int32Array;
  /** The code point read on the way there; 0 for none. */
  readonly read: Int32Array;
  readonly queue: number[];
  /** What two sets have in common, by the sets. */
  readonly common: Map<CharSet, Map<CharSet, CharSet>>;
}

/**
 * Searches the product of two automata, and of the automaton of real paths (no empty segment, no `.`, no `..`), for a path
 * that both accept. Visits each of the states(a) × states(b) × 5 triples at most once.
 */
export function commonPath(a: Automaton, b: Automaton): string | undefined {
  const size = a.states * b.states * phases;
  const search: Search = { a, b, from: new Int32Array(size), read: new Int32Array(size), queue: [], common: new Map() };
  const start = encode(search, a.start, b.start, nothing);
  visit(search, start, start, 0);
  const answer = encode(search, a.accept, b.accept, afterSlash);
  for (let index = 0; index < search.queue.length; index += 1) {
    const triple = search.queue[index] ?? 0;
    if (triple === answer) return spell(search, triple, start);
    expand(search, triple);
  }
  return undefined;
}

function expand(search: Search, triple: number): void {
  const { a, b } = search;
  const { stateA, stateB, phase } = decode(search, triple);
  for (const next of a.free[stateA] ?? []) visit(search, encode(search, next, stateB, phase), triple, 0);
  for (const next of b.free[stateB] ?? []) visit(search, encode(search, stateA, next, phase), triple, 0);
  const setA = a.reads[stateA];
  const setB = b.reads[stateB];
  if (setA == null || setB == null) return;
  const both = inBoth(search, setA, setB);
  if (both.length === 0) return;
  const nextA = a.next[stateA] ?? 0;
  const nextB = b.next[stateB] ?? 0;
  for (const [codePoint, after] of moves(both, phase))
    visit(search, encode(search, nextA, nextB, after), triple, codePoint);
}

function inBoth({ common }: Search, a: CharSet, b: CharSet): CharSet {
  let row = common.get(a);
  if (row === undefined) common.set(a, (row = new Map()));
  let both = row.get(b);
  if (both === undefined) row.set(b, (both = intersect(a, b)));
  return both;
}

/** One example per phase that reading a character of the set can lead to. */
function* moves(set: CharSet, phase: number): Generator<readonly [codePoint: number, phase: number]> {
  if (holds(set, slash)) {
    if (phase === named) yield [slash, afterSlash];
    return;
  }
  if (phase === named) {
    yield [exampleOf(set) ?? 0, named];
    return;
  }
  if (holds(set, dot)) yield [dot, phase <= afterSlash ? oneDot : phase === oneDot ? twoDots : named];
  const other = exampleOf(withoutDot(set));
  if (other !== undefined) yield [other, named];
}

function withoutDot(set: CharSet): CharSet {
  return [...intersect(set, [[0, dot - 1]]), ...intersect(set, [[dot + 1, 0x10ffff]])];
}

function visit(search: Search, triple: number, before: number, codePoint: number): void {
  if (search.from[triple] !== 0) return;
  search.from[triple] = before + 1;
  search.read[triple] = codePoint;
  search.queue.push(triple);
}

function spell(search: Search, triple: number, start: number): string {
  const points: number[] = [];
  for (let at = triple; at !== start; at = (search.from[at] ?? 0) - 1) {
    const codePoint = search.read[at] ?? 0;
    if (codePoint !== 0) points.push(codePoint);
  }
  return String.fromCodePoint(...points.toReversed()).replace(/\/$/, '');
}

function encode(search: Search, stateA: number, stateB: number, phase: number): number {
  return (stateA * search.b.states + stateB) * phases + phase;
}

function decode(search: Search, triple: number) {
  const pair = Math.floor(triple / phases);
  return { stateA: Math.floor(pair / search.b.states), stateB: pair % search.b.states, phase: triple % phases };
}
