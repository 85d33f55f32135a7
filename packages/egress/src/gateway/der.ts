/** A few writers of DER (X.690), enough for certificates. */

export const derTags = { boolean: 0x01, integer: 0x02, bits: 0x03, octets: 0x04, utf8: 0x0c } as const;

export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag]), lengthOf(body.length), body]);
}

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(0x30, ...parts);
}

export function set(...parts: readonly Uint8Array[]): Buffer {
  return der(0x31, ...parts);
}

/** A member with an explicit tag of its context. */
export function tagged(number: number, ...parts: readonly Uint8Array[]): Buffer {
  return der(0xa0 | number, ...parts);
}

export function integer(value: Uint8Array): Buffer {
  return der(derTags.integer, (value[0] ?? 0) > 0x7f ? Buffer.from([0]) : Buffer.alloc(0), value);
}

export function bits(value: Uint8Array, unused = 0): Buffer {
  return der(derTags.bits, Buffer.from([unused]), value);
}

export function octets(value: Uint8Array): Buffer {
  return der(derTags.octets, value);
}

export function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return der(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

/** UTCTime until 2049, GeneralizedTime after, as RFC 5280 wants it. */
export function time(at: Date): Buffer {
  const text = at.toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return at.getUTCFullYear() < 2050
    ? der(0x17, Buffer.from(text.slice(2), 'latin1'))
    : der(0x18, Buffer.from(text, 'latin1'));
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Buffer.from([0x80 | bytes.length, ...bytes]);
}

function base128(value: number): number[] {
  const bytes = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) bytes.unshift(0x80 | (rest % 128));
  return bytes;
}
