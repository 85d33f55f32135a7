import { OpencodeToolsError, printable } from '@opencode-tools/core';
import { posix } from 'node:path';

interface Rule {
  readonly covers: (path: string) => boolean;
  readonly keeps: boolean;
}

/**
 * Reads a `.dockerignore` as the docker command does: the last rule that matches a path, or a directory that it is in, decides; `!`
 * takes back in; `**` stands for any number of directories. The file itself and the Dockerfile are always sent.
 *
 * @param sent paths that are sent whatever the file says
 * @returns says of a path below the context, with `/` between its parts, whether it is left out
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for what is no pattern
 */
export function parseDockerIgnore(text: string, sent: readonly string[]): (path: string) => boolean {
  const rules = text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .flatMap(ruleOf);
  return (path) => {
    if (sent.some((kept) => kept === path)) return false;
    return rules.reduce((left, { covers, keeps }) => (covers(path) ? !keeps : left), false);
  };
}

function ruleOf(line: string): readonly Rule[] {
  if (line.startsWith('#')) return [];
  const text = line.trim();
  const keeps = text.startsWith('!');
  const pattern = posix.normalize((keeps ? text.slice(1) : text).trim() || '.').replace(/^\/+|\/+$/g, '');
  if (pattern === '' || pattern === '.') return [];
  try {
    return [{ covers: matcherOf(pattern), keeps }];
  } catch (error) {
    throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Not a pattern in .dockerignore: ${printable(text)}`, {
      details: { argument: 'context' },
      cause: error,
    });
  }
}

/** A character, any number of characters, or any number of directories with the slash after each. */
type Step = { readonly kind: 'one' | 'many'; readonly takes: (character: string) => boolean } | 'directories';

const parts = /\*\*\/|\*\*|\*|\?|\[\^?(?:\\.|[^\]\\])+\]|\\(.)|./gsu;
const isAny = (): boolean => true;
const isNoSlash = (character: string): boolean => character !== '/';

/** As Go's `filepath.Match`, with `**` besides. */
function stepsOf(pattern: string): readonly Step[] {
  return [...pattern.matchAll(parts)].map(([part, escaped]): Step => {
    if (part === '**/') return 'directories';
    if (part === '**') return { kind: 'many', takes: isAny };
    if (part === '*') return { kind: 'many', takes: isNoSlash };
    if (part === '?') return { kind: 'one', takes: isNoSlash };
    if (part.length > 1 && part.startsWith('[')) {
      const form = new RegExp(`^(?!/)${classOf(part)}$`, 'su');
      return { kind: 'one', takes: (character) => form.test(character) };
    }
    const wanted = escaped ?? part;
    return { kind: 'one', takes: (character) => character === wanted };
  });
}

/**
 * Says of a path whether it, or a directory that it is in, has the form of a pattern. All ways to match are followed at once, so
 * that no pattern takes longer than its length for each character.
 */
function matcherOf(pattern: string): (path: string) => boolean {
  const steps = stepsOf(pattern);
  const end = steps.length * 2;
  // An even number is a step that is next; the odd one after it is within directories.
  const enter = (state: number, into: Set<number>): void => {
    into.add(state);
    const step = steps[state / 2];
    if (step === 'directories' || (step !== undefined && step.kind === 'many')) enter(state + 2, into);
  };
  const follow = (states: ReadonlySet<number>, character: string): Set<number> => {
    const next = new Set<number>();
    for (const state of states) {
      const step = steps[state >> 1];
      if (step === 'directories') {
        next.add(state | 1);
        if (character === '/') enter((state | 1) + 1, next);
      } else if (step?.takes(character) === true) enter(step.kind === 'many' ? state : state + 2, next);
    }
    return next;
  };
  return (path) => {
    let states = new Set<number>();
    enter(0, states);
    for (const character of path) {
      if (character === '/' && states.has(end)) return true;
      states = follow(states, character);
      if (states.size === 0) return false;
    }
    return states.has(end);
  };
}

function classOf(part: string): string {
  return part.replaceAll(/\\(.)/gsu, (_all, escaped: string) => literal(escaped));
}

function literal(character: string): string {
  return /[$()*+.?[\\\]^{|}/-]/.test(character) ? `\\${character}` : character;
}
