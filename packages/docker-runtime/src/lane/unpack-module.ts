import {
  type Code,
  add,
  and,
  byteAt,
  constant,
  copy,
  copy16,
  copy8,
  equal,
  fill,
  forever,
  get,
  giveBack,
  increase,
  less,
  moduleOf,
  more,
  repeatWhile,
  set,
  shiftRight,
  subtract,
  twoBytesAt,
  when,
} from './web-assembly.ts';

/** `PACKED_AT_ONCE` of `lane/pack.h`. */
export const mostBytes = 65_536;
/** Where the function finds a block in its memory, and where it puts what that was made from. */
export const packedAt = 0;
export const plainAt = packedAt + mostBytes;

/** Copies in pieces of 16 bytes may go on so far behind either; what they put there is never looked at. */
const pages = 3;
/** From here on one instruction for all costs less than pieces. */
const long = 96;
const shortestMatch = 4;

const [packedEnd, plainEnd, from, to, lengths, bytes, back, other, until] = [0, 1, 2, 3, 4, 5, 6, 7, 8] as const;
const refuse = giveBack(constant(0));

/**
 * A function from the size of a block and the size of what it was made from to 1, or to 0 when the block is not one of so many bytes (the
 * block format of LZ4). No byte is read or written before it is certain that it belongs to the one or the other, but for what stands above.
 */
export function unpackModule(): Uint8Array<ArrayBuffer> {
  const body = [
    increase(plainEnd, constant(plainAt)),
    set(from, constant(packedAt)),
    set(to, constant(plainAt)),
    forever([
      refuseAtEnd(),
      set(lengths, byteAt(get(from))),
      increase(from, constant(1)),
      set(bytes, shiftRight(get(lengths), constant(4))),
      lengthFollows(),
      when(more(get(bytes), subtract(get(packedEnd), get(from))), refuse),
      when(more(get(bytes), subtract(get(plainEnd), get(to))), refuse),
      plainBytes(),
      when(equal(get(from), get(packedEnd)), giveBack(equal(get(to), get(plainEnd)))),
      when(less(subtract(get(packedEnd), get(from)), constant(2)), refuse),
      set(back, twoBytesAt(get(from))),
      increase(from, constant(2)),
      set(bytes, and(get(lengths), constant(15))),
      lengthFollows(),
      increase(bytes, constant(shortestMatch)),
      when(equal(get(back), constant(0)), refuse),
      when(more(get(back), subtract(get(to), constant(plainAt))), refuse),
      when(more(get(bytes), subtract(get(plainEnd), get(to))), refuse),
      bytesAgain(),
    ]),
  ];
  return moduleOf(body, { parameters: 2, locals: 7, pages });
}

function refuseAtEnd(): Code {
  return when(equal(get(from), get(packedEnd)), refuse);
}

/** A length of 15 goes on, by as many bytes of 255 as there are and the one after them. */
function lengthFollows(): Code {
  const next = [refuseAtEnd(), set(other, byteAt(get(from))), increase(from, constant(1)), increase(bytes, get(other))];
  return when(equal(get(bytes), constant(15)), repeatWhile(equal(get(other), constant(255)), next));
}

function plainBytes(): Code {
  const pieces = [
    set(until, add(get(to), get(bytes))),
    set(other, get(from)),
    inPieces(copy16, 16),
    increase(from, get(bytes)),
  ];
  const all = [copy(get(to), get(from), get(bytes)), increase(to, get(bytes)), increase(from, get(bytes))];
  return when(more(get(bytes), constant(long)), all, pieces);
}

/** What is put down may be what is read next: never more at a time than it is back. */
function bytesAgain(): Code {
  return [
    set(other, subtract(get(to), get(back))),
    set(until, add(get(to), get(bytes))),
    when(
      less(get(back), constant(8)),
      when(
        equal(get(back), constant(1)),
        [fill(get(to), byteAt(get(other)), get(bytes)), set(to, get(until))],
        doubling(),
      ),
      when(
        less(get(back), constant(16)),
        inPieces(copy8, 8),
        when(
          and(more(get(bytes), constant(long)), less(get(bytes), get(back))),
          [copy(get(to), get(other), get(bytes)), set(to, get(until))],
          inPieces(copy16, 16),
        ),
      ),
    ),
  ];
}

/** From `other` on, to `until`. */
function inPieces(piece: (into: Code, of: Code) => Code, size: number): Code {
  const one = [piece(get(to), get(other)), increase(to, constant(size)), increase(other, constant(size))];
  return [repeatWhile(less(get(to), get(until)), one), set(to, get(until))];
}

/** All that is there since `other` again and again, each time twice as much. */
function doubling(): Code {
  const rest = subtract(get(until), get(to));
  return repeatWhile(less(get(to), get(until)), [
    set(back, subtract(get(to), get(other))),
    when(more(get(back), rest), set(back, rest)),
    copy(get(to), get(other), get(back)),
    increase(to, get(back)),
  ]);
}
