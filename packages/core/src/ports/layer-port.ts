import type { LeftOut } from '../domain/left-out.ts';
import type { ByteStream } from './volume-port.ts';

/** On a volume: the names of its stack, the upper (or nothing) first. */
export const stackLabel = 'io.opencode-tools.stack';

/** What a volume is mounted from: one directory that takes its changes, over frozen ones, the highest first. */
export interface LayerStack {
  /** Null for a volume that can only be read, which takes two lowers or more. */
  readonly upper: string | null;
  readonly lowers: readonly string[];
}

/** Owner, permissions and extended attributes of the top directory of a tree. */
export interface LayerRoot {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Names the extended attributes that its user gave it; absent where there are none. */
  readonly attributes?: string;
}

/** Entries of any kind, the top directory among them, and the bytes of regular files; a file of several names is so many entries, and once its bytes. */
export interface LayerSize {
  readonly entries: number;
  readonly bytes: number;
}

/** Frozen layers on top of each other, the highest first. */
export interface FrozenLayers {
  readonly layers: readonly string[];
  /** What they show together; counted name by name where it is undefined. */
  readonly holds?: LayerSize | undefined;
}

/** Whether an engine can stack layers, found out by doing all of it once. */
export type LayerCapability = { readonly able: true } | { readonly able: false; readonly reason: string };

/** How the engine is asked for a volume that does not exist yet. */
export interface VolumeRecipe {
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
}

export interface ArchiveRequest {
  /** The volume that has the stack; nothing may write to it meanwhile. */
  readonly volume: string;
  readonly stack: LayerStack & { readonly upper: string };
  /** Name of the layer to make. */
  readonly layer: string;
  /** The layer that was archived from the same upper before; null for none. */
  readonly previous: string | null;
  /** What that one goes on top of, itself included; by default the lowers of the stack below it. */
  readonly onPrevious?: FrozenLayers | undefined;
  /** What the lowers of the stack show together; counted name by name where it is undefined. */
  readonly lowersHold?: LayerSize | undefined;
  /** False asks for all of the upper, though less would do. */
  readonly mayAdd: boolean;
  /** What the top directory of the upper was when it was made. */
  readonly root: LayerRoot | null;
  /** From how many names on the layer may be left packed; undefined for never. */
  readonly packFrom?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What became of an archive. A layer holds what changed since `previous` (and goes on top of what that one was on top of), or
 * all of the upper (and goes on top of its lowers), or the whole tree (and stands on nothing).
 */
export type Archived =
  | { readonly kind: 'same' }
  | {
      readonly kind: 'layer';
      readonly onto: 'previous' | 'lowers' | 'nothing';
      /** What is in the layer by itself, names that hide others included. */
      readonly size: LayerSize;
      /** What it shows together with all that it goes on top of. */
      readonly holds: LayerSize;
      readonly root: LayerRoot;
      /** As `LayerPort.digest` gives it. */
      readonly digest: string;
      /** True for one that has to be unpacked before it is in a stack. All else can be done with it at once. */
      readonly packed: boolean;
      /** What lies too deep to be archived; absent for nothing. */
      readonly leftOut?: LeftOut | undefined;
    };

/**
 * Directories in one volume of the engine, stacked by the engine itself. A layer is made once, under a name that is never used
 * again; uppers are never lowers of anything: what a checkpoint keeps is a copy.
 */
export interface LayerPort {
  /** Tried once per engine, version and kernel, and remembered there. */
  capability(): Promise<LayerCapability>;
  /** Most layers that one volume can have here; beyond it the engine would cut its options. */
  mostLayers(): Promise<number>;
  /** Makes empty uppers. @param uppers `like` is a layer whose top directory has the extended attributes that those of the uppers get */
  prepare(
    uppers: readonly { readonly name: string; readonly root: LayerRoot; readonly like?: string | undefined }[],
  ): Promise<void>;
  /** Makes a frozen layer without content. @returns its digest */
  makeEmpty(layer: string): Promise<string>;
  /** How a volume of the stack is asked for. */
  recipe(stack: LayerStack): Promise<VolumeRecipe>;
  /** Makes a volume of the stack. */
  stack(
    volume: { readonly name: string; readonly labels: Readonly<Record<string, string>> },
    stack: LayerStack,
  ): Promise<void>;
  /** The stack of a volume; undefined for a volume without one. */
  stackOf(volume: string): Promise<LayerStack | undefined>;
  /** The stacks of all volumes of this home. */
  stacks(): Promise<readonly LayerStack[]>;
  archive(request: ArchiveRequest): Promise<Archived>;
  /** Makes a packed layer fit for stacks; whoever is killed meanwhile leaves it as it was. One that is fit, or gone, stays so. */
  unpack(layer: string): Promise<void>;
  /** Makes a layer from a tar stream. @returns its digest, and the `attributes` of its `LayerRoot` */
  fill(
    layer: string,
    tar: ByteStream,
    signal?: AbortSignal,
  ): Promise<Pick<LayerRoot, 'attributes'> & { readonly digest: string }>;
  /** Makes one layer with what a stack of layers shows. */
  flatten(
    layer: string,
    lowers: readonly string[],
    signal?: AbortSignal,
  ): Promise<LayerSize & { readonly digest: string }>;
  /** SHA-256 over every name, its attributes and its content in a layer; undefined when it is not there. */
  digest(layer: string): Promise<string | undefined>;
  /**
   * Gives one layer as a tar stream, with what the overlay notes on names: character devices 0:0, attributes `trusted.overlay.*`. For
   * layers that fit into memory.
   */
  read(layer: string): Promise<ByteStream>;
  /**
   * Tells the place where layers are from another one of its name that came after it; made when it is not there. An empty text when
   * somebody else made it.
   */
  identity(): Promise<string>;
  /** Names of all layers and uppers there are. */
  names(): Promise<ReadonlySet<string>>;
  /** Names of all layers and uppers there are, and the bytes that each takes on disk. */
  list(): Promise<readonly { readonly name: string; readonly diskBytes: number }[]>;
  /** Removes layers and uppers; absent is fine. */
  remove(names: readonly string[]): Promise<void>;
  /**
   * Removes the place where layers are with all that is in it; it is made again at the next use.
   *
   * @returns false when somebody works in it, and nothing was removed
   */
  retire(): Promise<boolean>;
}
