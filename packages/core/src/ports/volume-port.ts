/** A byte stream; chunks of any size. */
export type ByteStream = AsyncIterable<Uint8Array>;

export interface VolumeFacts {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: string;
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
  /** Writes a tar stream into the volume; owners and modes as the stream says. */
  writeTree(name: string, tar: ByteStream, signal?: AbortSignal): Promise<void>;
  /** Removes a volume; absent is fine. */
  remove(name: string): Promise<void>;
}
