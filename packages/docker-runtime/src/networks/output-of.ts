/** What an engine sends of a command without a terminal: pieces of output, each after its stream and length. Gives standard output. */
export function outputOf(bytes: Buffer): string {
  const pieces: Buffer[] = [];
  for (let at = 0; at + 8 <= bytes.length;) {
    const end = at + 8 + bytes.readUInt32BE(at + 4);
    if (bytes[at] === 1) pieces.push(bytes.subarray(at + 8, end));
    at = end;
  }
  return Buffer.concat(pieces).toString();
}
