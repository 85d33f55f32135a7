import { type CharSet, anyCharacter, separator } from './char-set.ts';
import type { GlobPart, ParsedGlob } from './parse-glob.ts';

/**
 * A nondeterministic automaton over the code points of a path in which every segment, the last one too, ends in a slash: `a/b`
 * is read as `a/b/`. So `**` is a plain repetition of segments, and a glob of n characters has at most about 3n states.
 */
export interface Automaton {
  readonly states: number;
  readonly start: number;
  readonly accept: number;
  /** The states reached from each without reading anything. */
  readonly free: readonly (readonly number[])[];
  /** What each state reads, if it reads, and where that leads. */
  readonly reads: readonly (CharSet | null)[];
  readonly next: readonly number[];
}

export function compileGlob(glob: ParsedGlob): Automaton {
  const builder = new Builder();
  let end = builder.start;
  for (const segment of glob.segments) {
    end =
      segment.kind === 'any-depth' ? builder.anyDepth(end) : builder.step(builder.parts(end, segment.parts), separator);
  }
  return builder.finish(end);
}

class Builder {
  readonly #free: number[][] = [];
  readonly #reads: (CharSet | null)[] = [];
  readonly #next: number[] = [];
  readonly start: number;

  constructor() {
    this.start = this.#state();
  }

  parts(from: number, parts: readonly GlobPart[]): number {
    let end = from;
    for (const part of parts) end = this.#part(end, part);
    return end;
  }

  /** Reads one character of the set. */
  step(from: number, set: CharSet): number {
    const unused = this.#reads[from] === null && this.#free[from]?.length === 0;
    const reading = unused ? from : this.#state();
    const to = this.#state();
    if (!unused) this.#link(from, reading);
    this.#reads[reading] = set;
    this.#next[reading] = to;
    return to;
  }

  /** No segment, or any number of whole ones. */
  anyDepth(from: number): number {
    const loop = this.#state();
    this.#link(from, loop);
    const inside = this.step(loop, anyCharacter);
    this.#link(this.#run(inside, true), loop);
    return loop;
  }

  finish(accept: number): Automaton {
    const { start } = this;
    return { states: this.#free.length, start, accept, free: this.#free, reads: this.#reads, next: this.#next };
  }

  #part(from: number, part: GlobPart): number {
    if (part.kind === 'character') return this.step(from, part.set);
    if (part.kind === 'any-run') return this.#run(from, false);
    const end = this.#state();
    for (const choice of part.choices) {
      const entry = this.#state();
      this.#link(from, entry);
      this.#link(this.parts(entry, choice), end);
    }
    return end;
  }

  /** Any characters of one segment; with its slash when closed. */
  #run(from: number, closed: boolean): number {
    const loop = this.#state();
    this.#link(from, loop);
    this.#link(this.step(loop, anyCharacter), loop);
    return closed ? this.step(loop, separator) : loop;
  }

  #state(): number {
    this.#free.push([]);
    this.#reads.push(null);
    this.#next.push(-1);
    return this.#free.length - 1;
  }

  #link(from: number, to: number): void {
    this.#free[from]?.push(to);
  }
}
