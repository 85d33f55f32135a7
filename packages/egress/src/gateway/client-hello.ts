/** What the first bytes of a TLS connection say. */
export type ClientHello =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'hello'; readonly serverName: string | undefined };

const handshakeRecord = 22;
const clientHello = 1;
const serverNameExtension = 0;
const recordHeader = 5;
const handshakeHeader = 4;
/** No client sends more before it has an answer. */
const longestHello = 64 * 1024;

/** Reads the name a client asks for (RFC 6066), from a hello that may come in several records. */
export function readClientHello(bytes: Buffer): ClientHello {
  const message = handshakeBytes(bytes);
  if (message === undefined) return { kind: 'malformed' };
  if (message.length < handshakeHeader) return unfinished(bytes);
  if (message[0] !== clientHello) return { kind: 'malformed' };
  const length = message.readUIntBE(1, 3);
  if (length > longestHello) return { kind: 'malformed' };
  if (message.length < handshakeHeader + length) return unfinished(bytes);
  try {
    const serverName = serverNameOf(message.subarray(handshakeHeader, handshakeHeader + length));
    return { kind: 'hello', serverName };
  } catch {
    return { kind: 'malformed' };
  }
}

function unfinished(bytes: Buffer): ClientHello {
  return bytes.length > longestHello ? { kind: 'malformed' } : { kind: 'incomplete' };
}

/** The handshake's bytes without the framing of records; undefined when they are no handshake. */
function handshakeBytes(bytes: Buffer): Buffer | undefined {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    if (bytes[at] !== handshakeRecord || (at + 1 < bytes.length && bytes[at + 1] !== 3)) return undefined;
    if (at + recordHeader > bytes.length) break;
    const length = bytes.readUInt16BE(at + 3);
    if (length === 0 || length > 16_640) return undefined;
    parts.push(bytes.subarray(at + recordHeader, at + recordHeader + length));
    at += recordHeader + length;
  }
  return Buffer.concat(parts);
}

/** @throws when lengths disagree, when an extension comes twice, or when more than one name is asked for */
function serverNameOf(hello: Buffer): string | undefined {
  const reader = new Reader(hello);
  reader.take(2 + 32);
  reader.take(reader.number(1));
  reader.take(reader.number(2));
  reader.take(reader.number(1));
  if (reader.left === 0) return undefined;
  const extensions = new Reader(reader.take(reader.number(2)));
  reader.end();
  let found: string | undefined;
  while (extensions.left > 0) {
    const type = extensions.number(2);
    const body = extensions.take(extensions.number(2));
    if (type !== serverNameExtension) continue;
    if (found !== undefined) throw new Error('two server names');
    found = nameIn(body);
  }
  return found;
}

function nameIn(body: Buffer): string {
  const outer = new Reader(body);
  const list = new Reader(outer.take(outer.number(2)));
  outer.end();
  if (list.number(1) !== 0) throw new Error('not a host name');
  const name = list.take(list.number(2)).toString('latin1');
  list.end();
  return name;
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  number(size: 1 | 2): number {
    return this.take(size).readUIntBE(0, size);
  }

  take(size: number): Buffer {
    if (size > this.left) throw new Error('too short');
    this.#at += size;
    return this.#bytes.subarray(this.#at - size, this.#at);
  }

  end(): void {
    if (this.left > 0) throw new Error('too long');
  }
}
