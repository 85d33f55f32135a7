import { type Automaton, compileGlob } from './automaton.ts';
import { holds } from './char-set.ts';
import { type ParsedGlob, parseGlob } from './parse-glob.ts';
import { commonPath } from './common-path.ts';

/** A glob of the claim language, ready to be asked. */
export interface Glob {
  /** The normal form. */
  readonly text: string;
  /** Tells whether it covers a path; `path` is relative to the workspace and normalised. */
  matches(path: string): boolean;
  /**
   * A path that both globs cover, or undefined when there is none. Exact. At most length × length steps, whatever the
   * globs are.
   */
  overlap(other: Glob): string | undefined;
}

/** Reads a glob. See `docs/explanation/collaboration.md` for the language. @throws OpencodeToolsError `OCT_INVALID_ARGUMENT`, `OCT_PATH_OUTSIDE_WORKSPACE` */
export function createGlob(text: string): Glob {
  return new CompiledGlob(parseGlob(text));
}

class CompiledGlob implements Glob {
  readonly #parsed: ParsedGlob;
  #automaton: Automaton | undefined;

  constructor(parsed: ParsedGlob) {
    this.#parsed = parsed;
  }

  get text(): string {
    return this.#parsed.text;
  }

  matches(path: string): boolean {
    return accepts(this.#compiled(), `${path}/`);
  }

  overlap(other: Glob): string | undefined {
    const second = other instanceof CompiledGlob ? other : new CompiledGlob(parseGlob(other.text));
    if (areApart(this.#parsed.literalPrefix, second.#parsed.literalPrefix)) return undefined;
    return commonPath(this.#compiled(), second.#compiled());
  }

  #compiled(): Automaton {
    return (this.#automaton ??= compileGlob(this.#parsed));
  }
}

/** Two leading segments that are written out and differ: nothing can be under both. */
function areApart(a: readonly string[], b: readonly string[]): boolean {
  return a.some((segment, index) => index < b.length && segment !== b[index]);
}

function accepts(automaton: Automaton, text: string): boolean {
  let current = closure(automaton, [automaton.start]);
  for (const character of text) {
    const codePoint = character.codePointAt(0) ?? 0;
    const reached: number[] = [];
    for (const state of current) {
      const set = automaton.reads[state];
      if (set != null && holds(set, codePoint)) reached.push(automaton.next[state] ?? -1);
    }
    if (reached.length === 0) return false;
    current = closure(automaton, reached);
  }
  return current.has(automaton.accept);
}

function closure(automaton: Automaton, states: readonly number[]): ReadonlySet<number> {
  const found = new Set(states);
  for (const state of found) for (const next of automaton.free[state] ?? []) found.add(next);
  return found;
}
