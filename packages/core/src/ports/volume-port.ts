/** A byte stream; chunks of any size. */
export type ByteStream = AsyncIterable<Uint8Array>;

export interface VolumeFacts {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: string;
}

/** One name in a volume, as the file system of the engine describes it. */
export interface VolumeNode {
  /** Bytes as Latin-1; empty for the top directory. */
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'other';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly links: number;
  /** Device and inode: equal for hard links of one file. */
  readonly identity: string;
  /** Nanoseconds since 1970: of the content, and of anything about the file. Who owns a file cannot set the latter. */
  readonly modifiedNs: bigint;
  readonly changedNs: bigint;
  /** Where a symbolic link leads, bytes as Latin-1; empty for the others. */
  readonly target: string;
}

/** A volume that is listed, and can be read in part. Dispose of it. */
export interface VolumeListing extends AsyncDisposable {
  /** Time of the engine before it was listed, in nanoseconds since 1970. */
  readonly startedNs: bigint;
  /** In no order. */
  readonly nodes: readonly VolumeNode[];
  /** Streams these names alone, directories without what is in them, as `readTree` does. Once. */
  read(paths: readonly string[]): ByteStream;
}

/** Engine volumes, and the trees in them as tar streams (POSIX pax format, paths relative to the volume's root). */
export interface VolumePort {
  /** Makes an empty volume owned by the user; idempotent for the same name and labels. */
  create(volume: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly owner: { readonly uid: number; readonly gid: number };
  }): Promise<void>;
  find(name: string): Promise<VolumeFacts | undefined>;
  list(labels: Readonly<Record<string, string>>): Promise<readonly VolumeFacts[]>;
  /** Streams the whole tree; owners, modes, times, symbolic and hard links as they are. */
  readTree(name: string, signal?: AbortSignal): Promise<ByteStream>;
  /**
   * Lists the whole tree without reading any file.
   *
   * @returns null where the engine has no image of ours to list with
   */
  listTree(name: string, signal?: AbortSignal): Promise<VolumeListing | null>;
  /** Writes a tar stream into the volume; owners and modes as the stream says. */
  writeTree(name: string, tar: ByteStream, signal?: AbortSignal): Promise<void>;
  /** Removes a volume; absent is fine. */
  remove(name: string): Promise<void>;
}
