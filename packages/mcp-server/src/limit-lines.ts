import { Transform } from 'node:stream';
import { TopLevelId, type RequestId } from './top-level-id.ts';

const newline = 0x0a;

/** A line that was left out. */
export interface LongLine {
  /** The message's own `id`; null when it has none. */
  readonly id: RequestId | null;
  readonly bytes: number;
}

/**
 * Passes a stream of lines on, each as one chunk, and leaves out those of more bytes than a limit: of such a line no more than the
 * limit is ever held.
 *
 * @param limitBytes without the line's end
 * @param onLongLine called at the end of each line that was left out
 * @param accepts called with each other line; one for which it says no is left out as well
 */
export function limitLines(
  limitBytes: number,
  onLongLine: (line: LongLine) => void,
  accepts: (line: Buffer) => boolean = () => true,
): Transform {
  let held: Buffer[] = [];
  let bytes = 0;
  let scanner: TopLevelId | undefined;

  const add = (part: Buffer): void => {
    bytes += part.length;
    if (scanner === undefined && bytes > limitBytes) {
      scanner = new TopLevelId();
      for (const earlier of held) scanner.push(earlier);
      held = [];
    }
    if (scanner === undefined) held.push(part);
    else scanner.push(part);
  };
  const endLine = (transform: Transform): void => {
    if (scanner === undefined) {
      const line = Buffer.concat([...held, Buffer.of(newline)]);
      if (accepts(line)) transform.push(line);
    } else onLongLine({ id: scanner.id, bytes });
    held = [];
    bytes = 0;
    scanner = undefined;
  };
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      let start = 0;
      for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
        add(chunk.subarray(start, end));
        endLine(this);
        start = end + 1;
      }
      if (start < chunk.length) add(chunk.subarray(start));
      done();
    },
  });
}
