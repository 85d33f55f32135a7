import type { BytePath } from './byte-path.ts';

/*
 * Why the tar format is read and written here: names are bytes and times nanoseconds in a snapshot, and libraries of
 * the registry decode extended headers as UTF-8 and round times to seconds.
 */

export type TarType = 'file' | 'link' | 'symlink' | 'directory' | 'other';

/** The header of one member of a tar stream. */
export interface TarMember {
  readonly name: BytePath;
  readonly type: TarType;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  /** Bytes of content that follow. */
  readonly size: number;
  readonly target: BytePath;
  /** As of a `TreeEntry`. */
  readonly attributes?: string | undefined;
  /** What an overlay notes on a name of a layer; `moved` for anything that the layer alone cannot tell. */
  readonly overlay?: 'gone' | 'opaque' | 'moved';
}

export const blockLength = 512;

/** How the key of an extended header begins that has an extended attribute; `%` and `=` of its name are escaped. */
export const attributeKey = 'SCHILY.xattr.';

/** Bytes that fill the last block of `size` bytes. */
export function paddingOf(size: number): number {
  return (blockLength - (size % blockLength)) % blockLength;
}

/** Sum of a header's bytes with its own checksum field read as spaces. */
export function checksumOf(header: Uint8Array): number {
  let sum = 8 * 0x20;
  for (let index = 0; index < blockLength; index += 1) {
    if (index < 148 || index >= 156) sum += header[index] ?? 0;
  }
  return sum;
}
