import type { SnapshotRef } from '../domain/checkpoint.ts';
import type { LeftOut } from '../domain/left-out.ts';
import type { WorkspaceSource } from '../domain/workspace-spec.ts';
import type { LayerCapability, VolumeRecipe } from './layer-port.ts';
import type { GitPort } from './git-port.ts';
import type { ByteStream } from './volume-port.ts';

/** Where a live tree is: an engine volume, or a directory of the host. */
export type TreeRef =
  { readonly kind: 'volume'; readonly volume: string } | { readonly kind: 'directory'; readonly path: string };

export interface SeedRequest {
  readonly source: Exclude<WorkspaceSource, { readonly kind: 'empty' }>;
  /** Of a git source whose commit is not known yet: says where it stands. Asked for while the files are looked at. */
  readonly pin?: () => ReturnType<GitPort['resolve']>;
  /** Owner that every seeded file gets. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /**
   * Called with the directory that will be frozen, while nothing but us can write it; this is where hooks make a branch or
   * a plan file.
   */
  readonly prepare?: (directory: string) => Promise<void>;
  /** As `WorkspaceStore.ready` for the snapshot, begun before it is made, where that saves time. */
  readonly ready?: boolean;
  readonly signal?: AbortSignal;
}

export interface FreezeOptions {
  readonly signal?: AbortSignal;
  /** Told of what is in the tree and not in the snapshot, once for each kind; not of sockets in layers. */
  readonly onLeftOut?: (leftOut: LeftOut) => void;
}

export interface TreeChange {
  readonly path: string;
  readonly change: 'added' | 'modified' | 'deleted';
}

/** What a path of a frozen tree is. */
export interface TreeFacts {
  /** `link` is a further name of a file, which came first by path. */
  readonly kind: 'file' | 'directory' | 'symlink' | 'link';
  /** The lower twelve bits: permissions, setuid, setgid, sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of a file, under each of its names; 0 for the others. */
  readonly sizeBytes: number;
}

/** One path that differs between two frozen trees. */
export interface TreeDifference extends TreeChange {
  /** The bytes of the name in base64 when they are not valid UTF-8, so that `path` shows them only in part; else null. */
  readonly pathBytes: string | null;
  /** Null when it was added. */
  readonly from: TreeFacts | null;
  /** Null when it was deleted. */
  readonly to: TreeFacts | null;
}

export interface ProvisionRequest {
  readonly volume: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly owner: { readonly uid: number; readonly gid: number };
  /** Null makes an empty volume. */
  readonly snapshotId: string | null;
  readonly signal?: AbortSignal;
}

/** A directory of the host that a sandbox may share. */
export interface ShareableDirectory {
  /** Its real path. */
  readonly path: string;
  /** Whom it belongs to; commands run as this user, so that what they make belongs to the same. */
  readonly owner: { readonly uid: number; readonly gid: number };
}

/** A path in a shared directory that is mounted over itself, so that it can neither be moved nor replaced. */
export interface GuardedPath {
  readonly path: string;
  /** False for directories that are only kept in their place, since something below them is read-only. */
  readonly readOnly: boolean;
}

/**
 * Frozen trees and the live ones made from them. A snapshot never changes; the same tree has the same id. Everything is
 * whole or absent after a crash at any point.
 */
export interface WorkspaceStore {
  /**
   * Checks that a directory of the host may be a bind workspace.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` when it is missing, no directory, not readable, or belongs to root;
   *   `OCT_POLICY_DENIED` for a place that must not be shared (see `assertHostDirectory`)
   */
  checkDirectory(path: string): Promise<ShareableDirectory>;
  /**
   * Finds what of a bind workspace a sandbox must not change, since programs on the host obey it: `.git`, what git's
   * configuration includes, and `.opencode`. Makes an empty `.git`, which git ignores, where there is none.
   *
   * @returns existing paths, those that hold others first
   */
  guardDirectory(path: string): Promise<readonly GuardedPath[]>;
  /**
   * Reads a source repository or directory of the host and freezes it. Never changes the source.
   *
   * @throws OpencodeToolsError `OCT_POLICY_DENIED` for a place that sandboxes never see (see `forbiddenHostPath`)
   */
  seed(request: SeedRequest): Promise<SnapshotRef>;
  /** Freezes a live tree. The caller makes sure that nothing writes to it meanwhile. */
  freeze(tree: TreeRef, options?: FreezeOptions): Promise<SnapshotRef>;
  /** Makes a new volume with the content of a snapshot. Idempotent: a half-made volume of the name is made anew. */
  provision(request: ProvisionRequest): Promise<void>;
  /**
   * Begins to make what the first volume of a snapshot takes, beside all else. A hint: what fails is logged, and `provision` tries it
   * again; `settle` gives up what is not made yet.
   */
  ready(snapshotId: string): Promise<void>;
  /** Makes a directory of the host equal to a snapshot, writing only what differs. Tells of what could not be made equal. */
  restoreDirectory(
    directory: string,
    snapshotId: string,
    options?: FreezeOptions,
  ): Promise<{ readonly written: number; readonly removed: number }>;
  /**
   * The same tree as a snapshot whose content lies in files of this host, which is where `WorkPort` reads it; made at the first
   * call for a stack of layers. Tells of what is not in it.
   */
  contentOf(snapshotId: string, options?: FreezeOptions): Promise<string>;
  /** Lists what differs between two snapshots, sorted by the bytes of the paths; null is an empty tree. */
  diff(fromId: string | null, toId: string | null): Promise<readonly TreeDifference[]>;
  /**
   * Reads every byte of a snapshot.
   *
   * @param already gets what was read of layers and files; what is in it is not read again, so give it to the calls of one look alone
   * @throws OpencodeToolsError `OCT_CHECKPOINT_CORRUPT` naming the first bad path
   */
  verify(snapshotId: string, already?: AlreadyRead): Promise<SnapshotRef>;
  /** Whether there is such a snapshot; then `collect` does not remove it within the next hour. */
  has(snapshotId: string): Promise<boolean>;
  /**
   * Looks whether what snapshots and volumes are made of is still there, without reading it: an engine may lose it behind our back.
   */
  missing(of: { readonly snapshotIds: readonly string[]; readonly volumes: readonly string[] }): Promise<MissingTrees>;
  /** Forgets what was made ahead and is gone behind our back, so that it is made again. */
  takeStock(): Promise<void>;
  /** Whether new volumes are stacks of layers, whose checkpoints cost what changed; else why they are not. */
  layering(): Promise<LayerCapability>;
  /**
   * Says how to ask the engine for an empty volume that can be frozen cheaply. What is reserved and not used is collected.
   *
   * @returns null for a volume without options
   */
  reserve(owner: { readonly uid: number; readonly gid: number }): Promise<VolumeRecipe | null>;
  /**
   * Packs trees into one tar stream: a head first, then each tree under its name. Every byte is checked on the way.
   *
   * @param trees ids of snapshots by the names that they get
   * @param describe makes the head from what the trees are by their content
   */
  exportTrees(
    trees: ReadonlyMap<string, string>,
    describe: (refs: ReadonlyMap<string, SnapshotRef>) => Uint8Array,
    options?: {
      readonly signal?: AbortSignal;
      /** Told, before the stream is given, of what a tree has and the stream has not. */
      readonly onLeftOut?: (name: string, leftOut: LeftOut) => void;
    },
  ): Promise<ByteStream>;
  /** Keeps the members of a tar stream as a tree, whose top, and what else the stream does not name, are plain directories. */
  freezeTar(stream: ByteStream, options?: { readonly signal?: AbortSignal }): Promise<SnapshotRef>;
  /** Opens a snapshot as one tar stream; every byte is checked on the way. Read it once. */
  tarOf(snapshotId: string, options?: { readonly signal?: AbortSignal }): Promise<ByteStream>;
  /**
   * Takes in what `exportTrees` made, wherever it comes from: all of it or nothing.
   *
   * @param admit reads the head, at most 1 MiB, and says which trees may follow; what it throws is thrown on
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for a stream that is cut off or damaged, or has a tree that is not the one
   *   named, a path or hard link that leads out of its tree, a device, or a program that would run as root;
   *   `OCT_PATH_OUTSIDE_WORKSPACE` for a path that climbs
   */
  importTrees(
    stream: ByteStream,
    admit: (head: Uint8Array) => ReadonlyMap<string, AdmittedTree>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<ReadonlyMap<string, SnapshotRef>>;
  /**
   * Says what groups of snapshots take on disk. What cannot be read counts for nothing.
   *
   * @param groups ids of snapshots; an unknown one counts for nothing
   * @returns for each group in order
   */
  usage(groups: readonly (readonly string[])[]): Promise<readonly GroupUsage[]>;
  /**
   * Removes frozen trees that nothing needs any more: neither the snapshots that are named, nor a volume of the engine, nor
   * work under way, nor a record that may be about to be written: what was frozen or asked for within the last hour. What cannot
   * be proven to be unneeded stays. Any number of processes may work in the store meanwhile; of two that collect at once one
   * does nothing.
   *
   * @param keep gives the ids of the snapshots that checkpoints and tasks refer to; called after all else was looked at
   */
  collect(keep: () => Promise<ReadonlySet<string>>): Promise<Collected>;
  /** Waits for what goes on in the background, but for what was only asked to be ready. */
  settle(): Promise<void>;
}

/** Digests that several snapshots share the parts of, by what they are of. */
export type AlreadyRead = Map<string, Promise<string | undefined>>;

/** Trees of which something is gone. */
export interface MissingTrees {
  /** What is gone, by the id of each snapshot that cannot be had any more. */
  readonly snapshots: ReadonlyMap<string, string>;
  /** Names of volumes that cannot be mounted any more. */
  readonly volumes: ReadonlySet<string>;
}

/** What a group of snapshots takes on disk among others. */
export interface GroupUsage {
  /** All that it needs. */
  readonly bytes: number;
  /** What no other of the groups needs: free again without it. */
  readonly ownBytes: number;
  /** What no group before it needs. */
  readonly addedBytes: number;
}

/** A tree that is expected in a stream. */
export interface AdmittedTree {
  /** SHA-256 of its manifest, as `SnapshotRef.digest` of a snapshot of the content store. */
  readonly digest: string;
  /** Whose files become whose, once the digest is checked; null leaves all as they are. */
  readonly owner: { readonly from: Owner; readonly to: Owner } | null;
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface Collected {
  readonly snapshots: number;
  readonly layers: number;
  /** Bytes on disk that are free again. */
  readonly bytes: number;
  /** Layers of which nothing is known, and snapshots whose manifest cannot be read; left alone. */
  readonly unknown: readonly string[];
}
