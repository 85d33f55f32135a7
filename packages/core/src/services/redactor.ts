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

interface Pattern {
  readonly bytes: Buffer;
  readonly mark: Buffer;
}

/**
 * Makes redactors for secrets by name. Found are the value itself, each long line of it, and what base64, hexadecimal, URL and JSON
 * encoding make of it, wherever in a longer text it begins. Returns undefined when nothing has to be looked for.
 */
export function createRedaction(
  secrets: Readonly<Record<string, string>>,
): { readonly redactor: () => Redactor; readonly text: (text: string) => string } | undefined {
  const patterns = patternsOf(secrets);
  if (patterns.length === 0) return undefined;
  return {
    redactor: () => new StreamRedactor(patterns),
    text: (text) => {
      const redactor = new StreamRedactor(patterns);
      return Buffer.concat([redactor.take(Buffer.from(text)), redactor.end()]).toString();
    },
  };
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
    const { parts, rest } = this.#replace(all);
    const kept = this.#beginning(rest);
    this.#held = Buffer.from(rest.subarray(rest.length - kept));
    const passed = rest.subarray(0, rest.length - kept);
    return parts.length === 0 ? passed : Buffer.concat([...parts, passed]);
  }

  end(): Uint8Array {
    const held = this.#held;
    this.#held = Buffer.alloc(0);
    return held;
  }

  /** Replaces whole secrets, the first first and of two at one place the longer. */
  #replace(bytes: Buffer): { readonly parts: readonly Buffer[]; readonly rest: Buffer } {
    const parts: Buffer[] = [];
    let rest = bytes;
    const next = new Map<Pattern, number>();
    let base = 0;
    for (;;) {
      let best: { readonly at: number; readonly pattern: Pattern } | undefined;
      for (const pattern of this.#patterns) {
        let at = next.get(pattern);
        if (at === undefined || (at !== -1 && at < base)) {
          at = bytes.indexOf(pattern.bytes, base);
          next.set(pattern, at);
        }
        if (at === -1) continue;
        const longer = best !== undefined && at === best.at && pattern.bytes.length > best.pattern.bytes.length;
        if (best === undefined || at < best.at || longer) best = { at, pattern };
      }
      if (best === undefined) return { parts, rest };
      parts.push(bytes.subarray(base, best.at), best.pattern.mark);
      base = best.at + best.pattern.bytes.length;
      rest = bytes.subarray(base);
    }
  }

  /** Length of the longest end that a secret begins with. */
  #beginning(bytes: Buffer): number {
    let longest = 0;
    for (const { bytes: secret } of this.#patterns) {
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
}

function patternsOf(secrets: Readonly<Record<string, string>>): readonly Pattern[] {
  const found = new Map<string, Pattern>();
  for (const [name, value] of Object.entries(secrets)) {
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
