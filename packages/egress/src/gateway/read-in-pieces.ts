import type { Socket } from 'node:net';

/** Less than what Node first gives a TLS connection for what it reads: one that is filled gets 16 KiB more, and keeps them. */
const pieceBytes = 1_000;

/** Makes a socket give what it already holds, a hello of TLS, in small pieces to the TLS connection that is put on top of it. */
export function readInPieces(socket: Socket): void {
  const usual = socket.read.bind(socket) as (size?: number) => Buffer | null;
  socket.read = (size?: number): Buffer | null => {
    const held = socket.readableLength;
    return usual(size ?? (held > pieceBytes ? pieceBytes : undefined));
  };
}
