import type { Found } from './pattern-finder.ts';
import { WrappedFinder } from './wrapped-finder.ts';

/** Secrets shorter than this are left alone: they are in too much that has nothing to do with them. */
const shortestSecret = 6;
/** In bytes. Of a value of several lines each is one by itself: a program that reads a key or a file of settings prints them so. */
const shortestLine = 8;

/** Replaces secrets in what passes through it, also where one comes in several chunks. */
export interface Redactor {
  /** What can be passed on now; the rest may be the beginning of a secret and is kept back. */
  take(chunk: Uint8Array): Uint8Array;
  /** What was kept back. */
  end(): Uint8Array;
}

/** Bytes of the same number, in which secrets are stars. */
interface Masked {
  readonly bytes: Uint8Array;
  /** How many of them stay so whatever follows; from there on may be the beginning of a secret. */
  readonly certain: number;
}

export interface Redaction {
  readonly redactor: () => Redactor;
  readonly text: (text: string) => string;
  /** For outputs whose bytes have to keep their places, because several processes take pieces of them. */
  readonly mask: (bytes: Uint8Array) => Masked;
}

interface Pattern {
  readonly bytes: Buffer;
  readonly wraps: boolean;
  readonly mark: Buffer;
}

/**
 * Makes redactors for secrets by name, which may be given in several parts. Found are the value itself, each long line of it without what it is
 * indented by, and what base64, hexadecimal, URL and JSON encoding make of these, wherever in a longer text it begins. Returns undefined when
 * nothing has to be looked for.
 */
export function createRedaction(...secrets: readonly Readonly<Record<string, string>>[]): Redaction | undefined {
  const patterns = patternsOf(secrets.flatMap((part) => Object.entries(part)));
  if (patterns.length === 0) return undefined;
  const finder = new WrappedFinder(patterns);
  return {
    redactor: () => new StreamRedactor(finder),
    text: (text) => Buffer.concat(replaced(Buffer.from(text), look(finder, Buffer.from(text), true))).toString(),
    mask: (bytes) => mask(Buffer.from(bytes), finder),
  };
}

/**
 * The same with as many stars in the place of a secret, so that lengths stay.
 *
 * @returns makes a redactor for one text; undefined when nothing has to be looked for
 */
export function createMasking(...secrets: readonly Readonly<Record<string, string>>[]): (() => Redactor) | undefined {
  const patterns = patternsOf(secrets.flatMap((part) => Object.entries(part))).map(({ bytes, wraps }) => {
    return { bytes, wraps, mark: Buffer.alloc(bytes.length, '*') };
  });
  if (patterns.length === 0) return undefined;
  const finder = new WrappedFinder(patterns);
  return () => new StreamRedactor(finder);
}

type Finder = WrappedFinder<Pattern>;

interface Looked {
  /** In order, none within another. */
  readonly found: readonly Found<Pattern>[];
  /** Up to here nothing changes whatever follows. */
  readonly certain: number;
}

/**
 * Finds the whole secrets, the first first and of several at one place the longest. What may be the beginning of one that goes on, also
 * of one that holds a whole one, is uncertain.
 *
 * @param isAll true takes the bytes for all there are
 */
function look(finder: Finder, bytes: Uint8Array, isAll: boolean): Looked {
  const found: Found<Pattern>[] = [];
  const search = finder.search(bytes);
  let from = 0;
  let uncertain = isAll ? bytes.length : search.beginning(0);
  for (;;) {
    const next = search.next(from);
    if (next === undefined || next.at >= uncertain) return { found, certain: uncertain };
    found.push(next);
    from = next.at + next.length;
    if (from > uncertain) uncertain = search.beginning(from);
  }
}

function mask(bytes: Buffer, finder: Finder): Masked {
  const { certain } = look(finder, bytes, false);
  for (const { at, length } of look(finder, bytes, true).found) bytes.fill('*', at, at + length);
  return { bytes, certain };
}

function replaced(bytes: Buffer, { found, certain }: Looked): Buffer[] {
  const parts: Buffer[] = [];
  let from = 0;
  for (const { at, length, pattern } of found) {
    parts.push(bytes.subarray(from, at), pattern.mark);
    from = at + length;
  }
  parts.push(bytes.subarray(from, certain));
  return parts;
}

class StreamRedactor implements Redactor {
  readonly #finder: Finder;
  #held: Buffer = Buffer.alloc(0);

  constructor(finder: Finder) {
    this.#finder = finder;
  }

  take(chunk: Uint8Array): Uint8Array {
    const all =
      this.#held.length === 0
        ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
        : Buffer.concat([this.#held, chunk]);
    const looked = look(this.#finder, all, false);
    this.#held = Buffer.from(all.subarray(looked.certain));
    const parts = replaced(all, looked);
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  end(): Uint8Array {
    const held = this.#held;
    this.#held = Buffer.alloc(0);
    return Buffer.concat(replaced(held, look(this.#finder, held, true)));
  }
}

function patternsOf(secrets: readonly (readonly [name: string, value: string])[]): readonly Pattern[] {
  const found = new Map<string, Pattern>();
  for (const [name, value] of secrets) {
    const mark = Buffer.from(`[redacted:${name}]`);
    const lines = value.split(/[\r\n]+/).map((line) => line.trim());
    const long = lines.filter((line) => Buffer.byteLength(line) >= shortestLine);
    for (const text of new Set([value, ...long].filter((one) => Buffer.byteLength(one) >= shortestSecret))) {
      for (const { form, wraps } of formsOf(text))
        if (!found.has(form)) found.set(form, { bytes: Buffer.from(form, 'latin1'), wraps, mark });
    }
  }
  return [...found.values()];
}

/** Byte strings, one character per byte. */
function formsOf(text: string): readonly { readonly form: string; readonly wraps: boolean }[] {
  const bytes = Buffer.from(text);
  const hex = bytes.toString('hex');
  const utf8 = (one: string): string => Buffer.from(one).toString('latin1');
  const whole = [
    utf8(text),
    utf8(JSON.stringify(text).slice(1, -1)),
    ...shellForms(text).map(utf8),
    encodeURIComponent(text),
    encodeURIComponent(text).replaceAll('%20', '+'),
  ];
  const wrapped = [hex, hex.toUpperCase(), ...[0, 1, 2].flatMap((shift) => base64At(bytes, shift))];
  return [...whole.map((form) => ({ form, wraps: false })), ...wrapped.map((form) => ({ form, wraps: true }))];
}

/** What shells make of a value that they quote, as with `set -x`, `set` and `export -p`: bash and dash by `'`, bash also by `"`. */
function shellForms(text: string): readonly string[] {
  const single = [`'\\''`, `'"'"'`].map((quote) => text.replaceAll("'", () => quote));
  return [...single, text.replaceAll(/[\\"$`]/g, (one) => `\\${one}`)];
}

/** What base64 makes of a value that begins `shift` bytes after a group of three, without the characters that depend on what is around it. */
function base64At(bytes: Buffer, shift: number): readonly string[] {
  const encoded = Buffer.concat([Buffer.alloc(shift), bytes])
    .toString('base64')
    .replace(/=+$/, '');
  const from = shift === 0 ? 0 : shift + 1;
  const to = (bytes.length + shift) % 3 === 0 ? encoded.length : encoded.length - 1;
  const certain = encoded.slice(from, to);
  if (certain.length < shortestSecret) return [];
  return [certain, certain.replaceAll('+', '-').replaceAll('/', '_')];
}
