import type {
  ByteStream,
  FreezeOptions,
  LayerRoot,
  Logger,
  SeedRequest,
  SnapshotRef,
  SteeringFacts,
  VolumePort,
  WorkspaceStore,
} from '@opencode-tools/core';
import type { Environment } from './extract-tar.ts';
import type { HostGit } from './git.ts';

export interface ContentStoreOptions {
  /** Where the store is; made when first needed. Any number of processes of one host may use it at once. */
  readonly directory: string;
  readonly volumes: VolumePort;
  readonly git: HostGit;
  /** Only PATH is taken, to find the system's tar. */
  readonly environment: Environment;
  readonly logger: Logger;
  /** Directories of the host that tasks may mount, with what is in them; null, the default, for any that no rule refuses. */
  readonly mayMount?: readonly string[] | null;
  /** Looks for what programs of the host run or obey; no task writes there. */
  readonly steering?: () => Promise<SteeringFacts>;
  /** How long what was frozen or asked for is safe from `collect` without a record; milliseconds, default one hour. */
  readonly graceMs?: number;
  /** Age at which content that nothing recent has is stored in less space by `collect`; milliseconds, by default never. */
  readonly packAfterMs?: number;
}

/** A content store, which also gives its trees as streams. */
export interface ContentStore extends WorkspaceStore {
  /** @param onReading called when a git source is about to be read, since it is not known as a snapshot yet */
  seed(request: SeedRequest, onReading?: () => void): Promise<SnapshotRef>;
  /**
   * Gives a snapshot as a tar stream, checked on the way, and what its top directory is. Nothing of it is collected until the
   * caller disposes of it.
   *
   * @throws OpencodeToolsError `OCT_CHECKPOINT_NOT_FOUND`, `OCT_CHECKPOINT_CORRUPT`
   */
  readTar(snapshotId: string, signal?: AbortSignal): Promise<ContentTar>;
  /**
   * Freezes what layers make of a snapshot, reading the layers alone.
   *
   * @param layers as `LayerPort.read` gives them, the lowest first
   * @returns undefined where only what is mounted tells it
   * @throws as `readTar`
   */
  freezeOnto(
    snapshotId: string,
    layers: readonly (() => Promise<ByteStream>)[],
    options?: FreezeOptions,
  ): Promise<SnapshotRef | undefined>;
}

export interface ContentTar extends AsyncDisposable {
  readonly ref: SnapshotRef;
  readonly root: LayerRoot;
  readonly tar: ByteStream;
}
