import { type CharSet, anyCharacter, charSet, complement, oneCharacter } from './char-set.ts';
import { badGlob, outsideWorkspace } from './glob-error.ts';

/** Longest glob, in UTF-16 code units. */
const maxGlobLength = 256;
const maxBraceDepth = 4;

/** One piece of a segment. */
export type GlobPart =
  | { readonly kind: 'character'; readonly set: CharSet }
  | { readonly kind: 'any-run' }
  | { readonly kind: 'alternatives'; readonly choices: readonly (readonly GlobPart[])[] };

/** `any-depth` is `**`: no segment, or any number of them. */
type GlobSegment = { readonly kind: 'any-depth' } | { readonly kind: 'parts'; readonly parts: readonly GlobPart[] };

export interface ParsedGlob {
  /** The glob in its normal form: what is recorded and shown. */
  readonly text: string;
  readonly segments: readonly GlobSegment[];
  /** Leading segments without any wildcard, unescaped. */
  readonly literalPrefix: readonly string[];
}

/**
 * Reads one glob of the claim language: literal characters, `?`, `*`, `[a-z]`, `[!a-z]`, `{a,b}` and `\` before a character
 * that is meant as itself, all within one segment, and `**` as a whole segment. Leading `./`, doubled slashes and `.`
 * segments are dropped, a trailing slash means everything below.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT`; `OCT_PATH_OUTSIDE_WORKSPACE` for an absolute one and for `..`
 */
export function parseGlob(glob: string): ParsedGlob {
  if (glob.length > maxGlobLength)
    throw badGlob(glob, `has ${glob.length} characters`, `Give at most ${maxGlobLength} characters.`);
  if (!glob.isWellFormed() || glob.includes('\0')) throw badGlob(glob, 'is not valid text', 'Give valid Unicode text.');
  const texts = normalSegments(glob);
  const segments = texts.map((text): GlobSegment => {
    if (text === '**') return { kind: 'any-depth' };
    return { kind: 'parts', parts: new SegmentReader(glob, text).read() };
  });
  return { text: texts.join('/'), segments, literalPrefix: literalPrefixOf(segments) };
}

function normalSegments(glob: string): readonly string[] {
  if (glob.startsWith('/')) throw outsideWorkspace(glob, 'is absolute');
  const pieces = splitSegments(glob);
  const below = pieces.length > 1 && pieces.at(-1) === '';
  const kept = pieces.filter((piece) => piece !== '' && piece !== '.');
  if (kept.includes('..')) throw outsideWorkspace(glob, 'leaves the workspace');
  if (below || (kept.length === 0 && pieces.includes('.'))) kept.push('**');
  if (kept.length === 0) throw badGlob(glob, 'is empty', 'Name a path of the workspace, or `**` for all of it.');
  return kept.filter((piece, index) => piece !== '**' || kept[index - 1] !== '**');
}

/** Splits at slashes; an escaped slash is no character of a segment either. */
function splitSegments(glob: string): readonly string[] {
  if (/\\\//.test(glob.replaceAll('\\\\', ''))) throw badGlob(glob, 'escapes a slash', 'A slash always separates.');
  return glob.split('/');
}

function literalPrefixOf(segments: readonly GlobSegment[]): readonly string[] {
  const prefix: string[] = [];
  for (const segment of segments) {
    const literal = segment.kind === 'parts' ? literalText(segment.parts) : undefined;
    if (literal === undefined) break;
    prefix.push(literal);
  }
  return prefix;
}

function literalText(parts: readonly GlobPart[]): string | undefined {
  let text = '';
  for (const part of parts) {
    const range = part.kind === 'character' && part.set.length === 1 ? part.set[0] : undefined;
    if (range === undefined || range[0] !== range[1]) return undefined;
    text += String.fromCodePoint(range[0]);
  }
  return text;
}

/** Reads one segment from left to right; linear in its length. */
class SegmentReader {
  readonly #glob: string;
  readonly #points: readonly string[];
  #at = 0;

  constructor(glob: string, segment: string) {
    this.#glob = glob;
    this.#points = Array.from(segment);
  }

  read(): readonly GlobPart[] {
    const parts = this.#sequence(0);
    if (this.#at < this.#points.length)
      throw badGlob(this.#glob, 'has a `}` without its `{`', 'Write `\\}` for the character itself.');
    return parts;
  }

  #sequence(depth: number): readonly GlobPart[] {
    const parts: GlobPart[] = [];
    for (;;) {
      const next = this.#points[this.#at];
      if (next === undefined || next === '}' || (next === ',' && depth > 0)) return parts;
      this.#at += 1;
      const part = this.#part(next, depth);
      if (part.kind !== 'any-run' || parts.at(-1)?.kind !== 'any-run') parts.push(part);
    }
  }

  #part(first: string, depth: number): GlobPart {
    if (first === '?') return { kind: 'character', set: anyCharacter };
    if (first === '*') return { kind: 'any-run' };
    if (first === '[') return { kind: 'character', set: this.#characterClass() };
    if (first === '{') return { kind: 'alternatives', choices: this.#choices(depth + 1) };
    return { kind: 'character', set: oneCharacter(codeOf(first === '\\' ? this.#escaped() : first)) };
  }

  #choices(depth: number): readonly (readonly GlobPart[])[] {
    if (depth > maxBraceDepth)
      throw badGlob(this.#glob, 'nests braces too deeply', `Nest them at most ${maxBraceDepth} deep.`);
    const choices: (readonly GlobPart[])[] = [];
    for (;;) {
      choices.push(this.#sequence(depth));
      const next = this.#points[this.#at];
      if (next === undefined)
        throw badGlob(this.#glob, 'has a `{` without its `}`', 'Close it in the same segment, or write `\\{`.');
      this.#at += 1;
      if (next === '}') return choices;
    }
  }

  #characterClass(): CharSet {
    const negated = this.#points[this.#at] === '!' || this.#points[this.#at] === '^';
    if (negated) this.#at += 1;
    const ranges: [number, number][] = [];
    while (this.#points[this.#at] !== ']') {
      const low = this.#member();
      const ranged = this.#points[this.#at] === '-' && this.#points[this.#at + 1] !== ']';
      if (ranged) this.#at += 1;
      const high = ranged ? this.#member() : low;
      if (high < low) throw badGlob(this.#glob, 'has a range from high to low', 'Write the lower character first.');
      ranges.push([low, high]);
    }
    this.#at += 1;
    const set = negated ? complement(charSet(ranges)) : charSet(ranges);
    if (set.length > 0) return set;
    throw badGlob(this.#glob, 'has a class without any character', 'Name at least one character other than a slash.');
  }

  #member(): number {
    const next = this.#points[this.#at];
    if (next === undefined)
      throw badGlob(this.#glob, 'has a `[` without its `]`', 'Close it in the same segment, or write `\\[`.');
    this.#at += 1;
    return codeOf(next === '\\' ? this.#escaped() : next);
  }

  #escaped(): string {
    const next = this.#points[this.#at];
    if (next === undefined) throw badGlob(this.#glob, 'ends in a backslash', 'Write `\\\\` for the character itself.');
    this.#at += 1;
    return next;
  }
}

function codeOf(character: string): number {
  return character.codePointAt(0) ?? 0;
}
