/**
 * The few instructions of WebAssembly that code of ours is made of, as bytes of its binary format
 * (https://webassembly.github.io/spec/core/binary/). Every value is a 32-bit integer; what is compared is so without a sign.
 */
export type Code = number | readonly Code[];

export const constant = (value: number): Code => [0x41, signed(value)];
export const get = (local: number): Code => [0x20, local];
export const set = (local: number, value: Code): Code => [value, 0x21, local];
export const increase = (local: number, by: Code): Code => set(local, add(get(local), by));

export const add = (a: Code, b: Code): Code => [a, b, 0x6a];
export const subtract = (a: Code, b: Code): Code => [a, b, 0x6b];
export const and = (a: Code, b: Code): Code => [a, b, 0x71];
export const shiftRight = (a: Code, b: Code): Code => [a, b, 0x76];
export const equal = (a: Code, b: Code): Code => [a, b, 0x46];
export const less = (a: Code, b: Code): Code => [a, b, 0x49];
export const more = (a: Code, b: Code): Code => [a, b, 0x4b];

export const byteAt = (at: Code): Code => [at, 0x2d, 0, 0];
/** Two bytes, the lower first, wherever they are. */
export const twoBytesAt = (at: Code): Code => [at, 0x2f, 0, 0];
export const copy8 = (to: Code, from: Code): Code => [to, from, 0x29, 0, 0, 0x37, 0, 0];
export const copy16 = (to: Code, from: Code): Code => [to, from, 0xfd, 0, 0, 0, 0xfd, 0x0b, 0, 0];
/** Also of what overlaps: as if all was read before any is written. */
export const copy = (to: Code, from: Code, bytes: Code): Code => [to, from, bytes, 0xfc, 0x0a, 0, 0];
export const fill = (at: Code, byte: Code, bytes: Code): Code => [at, byte, bytes, 0xfc, 0x0b, 0];

export const when = (condition: Code, then: Code, otherwise?: Code): Code => [
  [condition, 0x04, 0x40, then],
  otherwise === undefined ? [] : [0x05, otherwise],
  0x0b,
];
export const forever = (body: Code): Code => [0x03, 0x40, body, 0x0c, 0, 0x0b];
/** At least once. */
export const repeatWhile = (condition: Code, body: Code): Code => [0x03, 0x40, body, condition, 0x0d, 0, 0x0b];
export const giveBack = (value: Code): Code => [value, 0x0f];

const integer = 0x7f;
const sections = { types: 1, functions: 3, memories: 5, exports: 7, code: 10 };
const kinds = { function: 0, memory: 2 };

/**
 * A module with one function, `run`, from integers to an integer, and its `memory`.
 *
 * @param pages how many 64 KiB the memory has
 */
export function moduleOf(
  body: Code,
  { parameters, locals, pages }: { readonly parameters: number; readonly locals: number; readonly pages: number },
): Uint8Array<ArrayBuffer> {
  const code: Code = [
    [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    section(sections.types, [1, 0x60, parameters, Array<number>(parameters).fill(integer), 1, integer]),
    section(sections.functions, [1, 0]),
    section(sections.memories, [1, 0, pages]),
    section(sections.exports, [2, name('memory'), kinds.memory, 0, name('run'), kinds.function, 0]),
    section(sections.code, [1, sized([1, locals, integer, body, 0x00, 0x0b])]),
  ];
  return Uint8Array.from(flat(code));
}

function section(id: number, content: Code): Code {
  return [id, sized(content)];
}

function name(text: string): Code {
  return sized([...Buffer.from(text)]);
}

function sized(content: Code): Code {
  const bytes = flat(content);
  return [unsigned(bytes.length), bytes];
}

function flat(code: Code): number[] {
  return typeof code === 'number' ? [code] : code.flatMap(flat);
}

/** LEB128. */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: number): number[] {
  return value >= -0x40 && value < 0x40 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}
