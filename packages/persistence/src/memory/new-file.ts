import { constants, lstatSync } from 'node:fs';
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { assertRoomBeside, lookEveryBytes } from './disk-reserve.ts';

/** Most bytes of one call: calls for a mebibyte took up to ten times as long (docs/decisions/2026-11-30-packed-outputs.md). */
const mostAtOnce = 256 * 1024;

/** A file that is made when it is first written to, in place of whatever lies under its name. */
export class NewFile {
  readonly #name: string;
  #handle: FileHandle | null = null;
  /** Since the last look at how much room there is. */
  #unseenBytes = 0;

  constructor(name: string) {
    this.#name = name;
  }

  /** By which what was written can be read, until it is closed; null before anything was. */
  get handle(): FileHandle | null {
    return this.#handle;
  }

  /** Writes all chunks after what was written before. */
  async append(chunks: readonly Uint8Array[]): Promise<void> {
    this.#handle ??= await create(this.#name);
    let rest = chunks;
    while (rest.length > 0) {
      if (this.#unseenBytes >= lookEveryBytes) {
        assertRoomBeside(path.dirname(this.#name));
        this.#unseenBytes = 0;
      }
      const { bytesWritten } = await this.#handle.writev(firstOf(rest));
      this.#unseenBytes += bytesWritten;
      rest = after(rest, bytesWritten);
    }
  }

  /** When nothing was written, nothing is left under the name. */
  async close(): Promise<void> {
    if (this.#handle !== null) await this.#handle.close();
    // Most commands put out nothing on one stream or both: to look costs a fraction of what to remove nothing does.
    else if (lstatSync(this.#name, { throwIfNoEntry: false }) !== undefined) await rm(this.#name, { force: true });
  }
}

function firstOf(chunks: readonly Uint8Array[]): readonly Uint8Array[] {
  let bytes = 0;
  const end = chunks.findIndex((chunk, index) => (bytes += chunk.byteLength) > mostAtOnce && index > 0);
  return end < 0 ? chunks : chunks.slice(0, end);
}

/** What is left of the chunks when this many bytes of them are written. */
function after(chunks: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let left = bytes;
  for (const [index, chunk] of chunks.entries()) {
    if (left < chunk.byteLength) return [chunk.subarray(left), ...chunks.slice(index + 1)];
    left -= chunk.byteLength;
  }
  return [];
}

async function create(name: string): Promise<FileHandle> {
  await mkdir(path.dirname(name), { recursive: true, mode: 0o700 });
  await rm(name, { force: true });
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  return open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
}
