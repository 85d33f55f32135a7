/** From here on one call that copies costs less than copying four bytes at a time. */
const longCopy = 96;
const lengthFollows = 15;
const shortestMatch = 4;

/**
 * Makes of a block what `lane/pack.h` made it from (the block format of LZ4).
 *
 * @param into as long as what the block was made from
 * @throws RangeError when the block is not one of those bytes
 */
export function unpack(packed: Uint8Array, into: Uint8Array): void {
  const source = new DataView(packed.buffer, packed.byteOffset, packed.length);
  const target = new DataView(into.buffer, into.byteOffset, into.length);
  const end = packed.length;
  const size = into.length;
  let from = 0;
  let to = 0;
  for (;;) {
    const lengths = packed[from++] ?? broken();
    let plain = lengths >> 4;
    if (plain === lengthFollows) {
      let more = 255;
      while (more === 255) plain += more = packed[from++] ?? broken();
    }
    if (plain > end - from || plain > size - to) broken();
    if (plain < longCopy) {
      const until = to + plain;
      for (; until - to >= 4; to += 4, from += 4) target.setInt32(to, source.getInt32(from, true), true);
      while (to < until) into[to++] = packed[from++] as number;
    } else {
      into.set(packed.subarray(from, from + plain), to);
      from += plain;
      to += plain;
    }
    if (from === end) break;
    const back = (packed[from] as number) | ((packed[from + 1] ?? broken()) << 8);
    from += 2;
    let again = lengths & 15;
    if (again === lengthFollows) {
      let more = 255;
      while (more === 255) again += more = packed[from++] ?? broken();
    }
    again += shortestMatch;
    if (back === 0 || back > to || again > size - to) broken();
    to = again < longCopy ? repeat(target, to, back, again) : repeatLong(into, to, back, again);
  }
  if (to !== size) broken();
}

/** Puts down again what begins so many bytes before; it may be what this itself puts down. */
function repeat(target: DataView, at: number, back: number, bytes: number): number {
  const end = at + bytes;
  let to = at;
  if (back >= 4) for (; end - to >= 4; to += 4) target.setInt32(to, target.getInt32(to - back, true), true);
  for (; to < end; to += 1) target.setUint8(to, target.getUint8(to - back));
  return end;
}

function repeatLong(into: Uint8Array, at: number, back: number, bytes: number): number {
  const end = at + bytes;
  let to = at;
  for (let there = back; there < end - to; there *= 2) {
    into.copyWithin(to, to - there, to);
    to += there;
  }
  into.copyWithin(to, at - back, at - back + end - to);
  return end;
}

function broken(): never {
  throw new RangeError('A packed block of an output is not whole');
}
