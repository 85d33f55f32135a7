import type { ByteStream } from './volume-port.ts';

/** What copying a tree to the host did. */
export interface UnpackReport {
  readonly files: number;
  readonly sizeBytes: number;
  /** What was not made on the host, and why: devices, links that leave the tree. */
  readonly skipped: readonly { readonly path: string; readonly reason: string }[];
}

/** Trees of the host's own file system as tar streams. No symbolic link is followed. */
export interface HostFiles {
  /**
   * Packs a file or directory; symbolic links stay links, devices and pipes are left out.
   *
   * @param path absolute
   * @param name what its members begin with
   * @param leaveOut says of a path below it, with `/` between its parts, whether it is left out
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for what does not exist, may not be read, or changes meanwhile
   */
  pack(path: string, name: string, signal?: AbortSignal, leaveOut?: (path: string) => boolean): ByteStream;
  /**
   * Unpacks a tar stream that may be hostile: nothing is written outside the directory, by no name and through no link.
   *
   * @param directory absolute path of an existing directory
   * @param name what takes the place of the first part of every member's name
   * @throws OpencodeToolsError `OCT_PATH_OUTSIDE_WORKSPACE` for a member that names a path outside
   */
  unpack(tar: ByteStream, directory: string, name: string, signal?: AbortSignal): Promise<UnpackReport>;
}
