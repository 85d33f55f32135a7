import { OpencodeToolsError, type SandboxPath } from '@opencode-tools/core';

/** A byte that is no UTF-8, as `SandboxPath` writes it. */
const escapedByte = /[\udc80-\udcff]/u;

/** Reads a name as the file system gives it. */
export function toPath(bytes: Uint8Array): SandboxPath {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  if (!text.includes('\ufffd') || Buffer.from(text, 'utf8').equals(bytes)) return text;
  let path = '';
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes, at);
    path += length === 0 ? String.fromCharCode(0xdc00 + (bytes[at] ?? 0)) : decode(bytes.subarray(at, at + length));
    at += Math.max(1, length);
  }
  return path;
}

/** Length of the valid UTF-8 sequence at a place, 0 when there is none. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  const sequence = bytes.subarray(at, at + length);
  return sequence.length === length && Buffer.from(decode(sequence), 'utf8').equals(sequence) ? length : 0;
}

function decode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

/**
 * Writes a path as a word of a shell script. A byte that is no UTF-8 cannot be part of a script, so such a path is put
 * together by `printf`.
 *
 * @returns statements that set the variable to the path
 */
export function setPath(variable: string, path: SandboxPath): string {
  if (path.includes('\0') || path.length > 4_096) {
    throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', 'Not a path: it holds a NUL character or is too long', {
      details: { argument: 'path' },
    });
  }
  if (!escapedByte.test(path)) return `${variable}=${quote(path.toWellFormed())}\n`;
  const encoded = Array.from(path, (character) => {
    if (escapedByte.test(character)) return octal(character.charCodeAt(0) & 0xff);
    return character === '\\' ? '\\\\' : character.toWellFormed();
  });
  return `${variable}=$(printf '%b.' ${quote(encoded.join(''))}); ${variable}=\${${variable}%.}\n`;
}

export function octal(byte: number): string {
  return `\\0${byte.toString(8).padStart(3, '0')}`;
}

export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
