/** Secrets shorter than this are left alone: they are in too much that has nothing to do with them. */
const shortestSecret = 6;
const shortestLine = 16;

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
  readonly mark: Buffer;
}

/**
 * Makes redactors for secrets by name, which may be given in several parts. Found are the value itself, each long line of it, and what base64, hexadecimal, URL and JSON
 * encoding make of it, wherever in a longer text it begins. Returns undefined when nothing has to be looked for.
 */
export function createRedaction(...secrets: readonly Readonly<Record<string, string>>[]): Redaction | undefined {
  const patterns = patternsOf(secrets.flatMap((part) => Object.entries(part)));
  if (patterns.length === 0) return undefined;
  return {
    redactor: () => new StreamRedactor(patterns),
    text: (text) => {
      const redactor = new StreamRedactor(patterns);
      return Buffer.concat([redactor.take(Buffer.from(text)), redactor.end()]).toString();
    },
    mask: (bytes) => mask(Buffer.from(bytes), patterns),
  };
}

function mask(bytes: Buffer, patterns: readonly Pattern[]): Masked {
  let certainFrom = 0;
  for (const { at, length } of matchesIn(bytes, patterns)) {
    bytes.fill('*', at, at + length);
    certainFrom = at + length;
  }
  return { bytes, certain: bytes.length - beginningAtEnd(bytes.subarray(certainFrom), patterns) };
}

class StreamRedactor implements Redactor {
  readonly #patterns: readonly Pattern[];
  #held: Buffer = Buffer.alloc(0);

  constructor(patterns: readonly Pattern[]) {
    this.#patterns = patterns;
  }

  take(chunk: Uint8Array): Uint8Array {
    const all =
      this.#held.length === 0
        ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
        : Buffer.concat([this.#held, chunk]);
    const parts: Buffer[] = [];
    let from = 0;
    for (const { at, length, mark } of matchesIn(all, this.#patterns)) {
      parts.push(all.subarray(from, at), mark);
      from = at + length;
    }
    const rest = all.subarray(from);
    const kept = beginningAtEnd(rest, this.#patterns);
    this.#held = Buffer.from(rest.subarray(rest.length - kept));
    const passed = rest.subarray(0, rest.length - kept);
    return parts.length === 0 ? passed : Buffer.concat([...parts, passed]);
  }

  end(): Uint8Array {
    const held = this.#held;
    this.#held = Buffer.alloc(0);
    return held;
  }
}

interface Match {
  readonly at: number;
  readonly length: number;
  readonly mark: Buffer;
}

/** Whole secrets, the first first and of two at one place the longer; none within another. */
function* matchesIn(bytes: Buffer, patterns: readonly Pattern[]): Generator<Match> {
  const next = new Map<Pattern, number>();
  for (let base = 0; ;) {
    let best: { readonly at: number; readonly pattern: Pattern } | undefined;
    for (const pattern of patterns) {
      let at = next.get(pattern);
      if (at === undefined || (at !== -1 && at < base)) {
        at = bytes.indexOf(pattern.bytes, base);
        next.set(pattern, at);
      }
      if (at === -1) continue;
      const longer = best !== undefined && at === best.at && pattern.bytes.length > best.pattern.bytes.length;
      if (best === undefined || at < best.at || longer) best = { at, pattern };
    }
    if (best === undefined) return;
    const { at, pattern } = best;
    yield { at, length: pattern.bytes.length, mark: pattern.mark };
    base = at + pattern.bytes.length;
  }
}

/** Length of the longest end that a secret begins with. */
function beginningAtEnd(bytes: Buffer, patterns: readonly Pattern[]): number {
  let longest = 0;
  for (const { bytes: secret } of patterns) {
    for (let size = Math.min(secret.length - 1, bytes.length); size > longest; size -= 1) {
      if (
        secret[0] === bytes[bytes.length - size] &&
        secret.subarray(0, size).equals(bytes.subarray(bytes.length - size))
      )
        longest = size;
    }
  }
  return longest;
}

function patternsOf(secrets: readonly (readonly [name: string, value: string])[]): readonly Pattern[] {
  const found = new Map<string, Pattern>();
  for (const [name, value] of secrets) {
    const mark = Buffer.from(`[redacted:${name}]`);
    const lines = value.split('\n').filter((line) => line.length >= shortestLine);
    for (const text of new Set([value, ...lines].filter((one) => Buffer.byteLength(one) >= shortestSecret))) {
      for (const form of formsOf(text))
        if (!found.has(form)) found.set(form, { bytes: Buffer.from(form, 'latin1'), mark });
    }
  }
  return [...found.values()];
}

/** Byte strings, one character per byte. */
function formsOf(text: string): readonly string[] {
  const bytes = Buffer.from(text);
  const hex = bytes.toString('hex');
  const utf8 = (one: string): string => Buffer.from(one).toString('latin1');
  return [
    utf8(text),
    utf8(JSON.stringify(text).slice(1, -1)),
    encodeURIComponent(text),
    encodeURIComponent(text).replaceAll('%20', '+'),
    hex,
    hex.toUpperCase(),
    ...[0, 1, 2].flatMap((shift) => base64At(bytes, shift)),
  ];
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
