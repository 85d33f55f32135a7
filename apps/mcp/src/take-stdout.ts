import { Writable } from 'node:stream';

/**
 * Takes standard output for one writer and sends everybody else's prints, `console.log` of libraries included, to standard
 * error: a stray line between MCP messages breaks clients.
 */
export function takeStdout(stdout: NodeJS.WriteStream, stderr: NodeJS.WriteStream): Writable {
  const write = stdout.write.bind(stdout);
  const own = new Writable({
    decodeStrings: false,
    write: (chunk: string | Uint8Array, _encoding, done) => {
      write(chunk, (error) => done(error));
    },
  });
  stdout.on('error', (error) => own.destroy(error));
  stdout.write = stderr.write.bind(stderr);
  return own;
}
