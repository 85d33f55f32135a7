export type RequestId = string | number;

const [quote, backslash, colon, comma] = [0x22, 0x5c, 0x3a, 0x2c];
const opening = new Set([0x7b, 0x5b]);
const closing = new Set([0x7d, 0x5d]);
/** A name or value at the top of a message that is longer than this is none that is looked for. */
const mostKept = 1_000;

/** Finds the value of `id` at the top of a JSON object that is seen once, in pieces, and never held. */
export class TopLevelId {
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** Bytes of the name or value at the top that is being read. */
  #token: number[] = [];
  #name = '';
  #found: RequestId | null = null;

  get id(): RequestId | null {
    return this.#found;
  }

  push(part: Uint8Array): void {
    for (const byte of part) this.#next(byte);
  }

  #next(byte: number): void {
    if (this.#inString) this.#nextInString(byte);
    else if (byte === quote) this.#beginString(byte);
    else if (opening.has(byte)) this.#depth += 1;
    else if (closing.has(byte)) this.#close();
    else if (this.#depth === 1) this.#nextAtTop(byte);
  }

  #beginString(byte: number): void {
    this.#inString = true;
    this.#keep(byte);
  }

  #nextInString(byte: number): void {
    this.#keep(byte);
    if (this.#escaped) this.#escaped = false;
    else if (byte === backslash) this.#escaped = true;
    else if (byte === quote) this.#inString = false;
  }

  #nextAtTop(byte: number): void {
    if (byte === colon) {
      this.#name = this.#take();
    } else if (byte === comma) this.#endMember();
    else this.#keep(byte);
  }

  #close(): void {
    if (this.#depth === 1) this.#endMember();
    this.#depth -= 1;
  }

  #endMember(): void {
    const value = this.#take();
    if (this.#name === '"id"') this.#found = requestId(value);
    this.#name = '';
  }

  #keep(byte: number): void {
    if (this.#depth === 1 && this.#token.length < mostKept) this.#token.push(byte);
  }

  #take(): string {
    const text = Buffer.from(this.#token).toString('utf8').trim();
    this.#token = [];
    return text;
  }
}

function requestId(text: string): RequestId | null {
  if (/^-?\d{1,15}$/.test(text)) return Number(text);
  if (!text.startsWith('"')) return null;
  try {
    return JSON.parse(text) as string;
  } catch {
    return null;
  }
}
