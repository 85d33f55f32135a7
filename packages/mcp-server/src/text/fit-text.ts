export interface TextLimits {
  readonly maxBytes: number;
  readonly maxLines: number;
}

/**
 * Cuts text to a size, keeping its head and, because errors come last, twice as much of its tail. One line says what is left
 * out. Characters are never split.
 *
 * @param limits bytes in UTF-8; the mark itself comes on top
 */
export function fitText(text: string, { maxBytes, maxLines }: TextLimits): string {
  const bytes = Buffer.from(text);
  const byteCut =
    bytes.length > maxBytes ? joinParts(headOf(bytes, maxBytes / 3), tailOf(bytes, (maxBytes * 2) / 3)) : text;
  const lines = byteCut.split('\n');
  if (lines.length <= maxLines) return byteCut;
  const headLines = Math.floor(maxLines / 3);
  const tailLines = maxLines - headLines;
  const left = lines.length - maxLines;
  return [...lines.slice(0, headLines), `[… ${left} lines left out …]`, ...lines.slice(-tailLines)].join('\n');

  function joinParts(head: string, tail: string): string {
    const left = bytes.length - Buffer.byteLength(head) - Buffer.byteLength(tail);
    return `${head}\n[… ${left} bytes left out …]\n${tail}`;
  }
}

function headOf(bytes: Buffer, size: number): string {
  let end = Math.floor(size);
  while (end > 0 && isContinuation(bytes[end])) end -= 1;
  return bytes.toString('utf8', 0, end);
}

function tailOf(bytes: Buffer, size: number): string {
  let start = bytes.length - Math.floor(size);
  while (start < bytes.length && isContinuation(bytes[start])) start += 1;
  return bytes.toString('utf8', start);
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}
