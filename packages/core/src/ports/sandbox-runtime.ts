import type { ExecutionId, HomeId, OperationId, TaskId } from '../domain/ids.ts';
import type { LiveLimits, NetworkMode, ResourceLimits } from '../domain/sandbox-spec.ts';
import type { NetworkFiles, NetworkPort } from './network-port.ts';
import type { BackgroundCommands } from './background-commands.ts';
import type { FileAccess, SandboxFiles } from './sandbox-files.ts';
import type { ExecOutcome, ExecRequest, TerminalRequest } from './exec-request.ts';
import type { VolumePort } from './volume-port.ts';

export type SandboxMount =
  | {
      readonly kind: 'volume';
      readonly volume: string;
      readonly target: string;
      readonly readOnly: boolean;
      /**
       * Labels of a volume that does not exist yet. The runtime makes it with the container: filled with what the image has at the
       * target, its top owned by the plan's user.
       */
      readonly create?: Readonly<Record<string, string>>;
      /** With `create`: what the engine makes the volume from, as `WorkspaceStore.reserve` said. */
      readonly options?: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'bind'; readonly source: string; readonly target: string; readonly readOnly: boolean };

/**
 * Everything a runtime needs to make one sandbox, decided before any engine is called. Hook points see it and may veto.
 * What is not a member cannot be asked for: no privileges, no added capabilities, no host namespaces, no devices.
 */
export interface SandboxPlan {
  /** Unique engine name; holds home, task and generation. */
  readonly name: string;
  readonly homeId: HomeId;
  /** Null for a sandbox that is made for the pool: labels are fixed, and whose it will be is not known. */
  readonly taskId: TaskId | null;
  readonly operationId: OperationId;
  readonly generation: number;
  /** Content id of the image to run. */
  readonly imageId: string;
  readonly user: { readonly uid: number; readonly gid: number };
  readonly limits: ResourceLimits;
  /** A sandbox of mode `policy` starts without a network too, and is joined to one afterwards. */
  readonly networkMode: NetworkMode;
  /** Absent where the sandbox never gets a network. */
  readonly networkFiles?: NetworkFiles;
  readonly mounts: readonly SandboxMount[];
  readonly workingDirectory: string;
  readonly readOnlyRoot: boolean;
  readonly runtime: string | null;
  /**
   * Commands under a smaller token, or under one of the revoked, are refused from the start. Null refuses every command until
   * `fence` is called.
   */
  readonly fence: Fence | null;
}

/** Which tokens may run commands in a sandbox. */
export interface Fence {
  readonly minToken: number;
  readonly revoked: readonly number[];
}

/** What the engine says about a sandbox right now. */
export interface SandboxFacts {
  readonly ref: string;
  readonly name: string;
  readonly state: 'creating' | 'running' | 'paused' | 'stopped' | 'failed';
  readonly homeId: HomeId;
  /** Null when it was made for the pool; the registry knows whose it is. */
  readonly taskId: TaskId | null;
  readonly operationId: OperationId;
  readonly generation: number;
  readonly imageId: string;
  readonly outOfMemory: boolean;
  readonly createdAt: string;
  /** True when a hostile command could pretend another's result, because it has the same user as what reports results. */
  readonly forgeableResults: boolean;
}

export interface RootChange {
  readonly path: string;
  readonly change: 'added' | 'modified' | 'deleted';
}

export interface SandboxStats {
  readonly memoryBytes: number;
  /** The most that was in use since the container started; null where the engine does not tell. */
  readonly memoryPeakBytes: number | null;
  readonly memoryLimitBytes: number;
  readonly cpuNanoseconds: number;
  readonly processes: number;
  /** Null where the engine sets none. */
  readonly processLimit: number | null;
}

/** What happened to a sandbox without our asking for it. */
export interface SandboxEvent {
  readonly kind: 'out-of-memory' | 'ended';
  readonly ref: string;
  readonly taskId: TaskId;
  /** RFC 3339, by the engine's clock. */
  readonly at: string;
}

/** A live sandbox. Methods may be called from several callers at once; commands run concurrently. */
export interface SandboxHandle extends AsyncDisposable {
  readonly ref: string;
  /** As in `SandboxFacts`, without asking the engine. */
  readonly forgeableResults: boolean;
  /** Files as the sandbox sees them, handled inside by the commands' user. */
  readonly files: SandboxFiles;
  readonly background: BackgroundCommands;
  inspect(): Promise<SandboxFacts>;
  /**
   * Runs a command to its end.
   *
   * @throws OpencodeToolsError `OCT_STALE_FENCING_TOKEN` when the token is fenced off before it starts; `OCT_SHELL_ENDED` when there
   *   is no such shell, or it ended before the command's turn came;
   *   `OCT_SANDBOX_NOT_FOUND` when the container is gone or stopped before it starts; `OCT_ENGINE_UNAVAILABLE`; whatever an
   *   output handler threw
   */
  exec(request: ExecRequest): Promise<ExecOutcome>;
  /**
   * Runs a command on a terminal of its own, to its end; nothing that it started is left then. Death by a signal shows as 128 and its
   * number. Needs no program in the image but `sh` and the command.
   *
   * @throws OpencodeToolsError as `exec`
   */
  runTerminal(request: TerminalRequest): Promise<ExecOutcome>;
  /** Opens what the first command would have to open otherwise. */
  connect(): Promise<void>;
  /**
   * Raises the fence and ends every process that runs under a token it excludes. When this returns, none is left. Lowering
   * is refused.
   *
   * @returns how many processes were ended
   */
  fence(fence: Fence): Promise<{ readonly ended: number }>;
  /**
   * Ends whatever still runs of one execution, also when another process of ours had started it. Idempotent.
   *
   * @returns how many processes were ended
   */
  endExecution(executionId: ExecutionId): Promise<{ readonly ended: number }>;
  /** Ends every process of the commands' user. Returns how many there were. */
  endAll(): Promise<{ readonly ended: number }>;
  start(): Promise<void>;
  /** @param graceMs how long processes may take to end by themselves; 0 to 60,000 */
  stop(graceMs: number): Promise<void>;
  pause(): Promise<void>;
  unpause(): Promise<void>;
  /**
   * Sets limits, running or not; what runs goes on.
   *
   * @throws OpencodeToolsError `OCT_RESOURCE_LIMIT` when more memory is in use than the new limit allows;
   *   `OCT_CAPABILITY_UNSUPPORTED` when the engine cannot do it for this sandbox
   */
  update(limits: LiveLimits): Promise<void>;
  /**
   * Whether the directories of the host that a running sandbox has are still those that their paths name: nobody removed or replaced
   * one. True where host and engine cannot be compared.
   *
   * @param access looks by a command, which is faster and believes what the sandbox says; without it no program of the sandbox is asked
   */
  mountsStand(access?: FileAccess): Promise<boolean>;
  /** Removes the container; volumes stay. Absent is fine. */
  destroy(): Promise<void>;
  /** Paths of the root file system that differ from the image; mounts and our own files left out. */
  rootChanges(): Promise<readonly RootChange[]>;
  /**
   * Whether it is proven that nothing of the root file system has changed since the sandbox was made. Far cheaper than the list, and asked of
   * the inside: what is true held from the beginning up to the call. False means that nobody can say, as of a paused sandbox.
   *
   * @param options.insists true opens another way in where none is free; without it the answer is false then
   */
  rootIsUntouched(options?: { readonly insists?: boolean }): Promise<boolean>;
  /** Saves the root file system as an image. Idempotent by tag. */
  snapshotRoot(image: {
    readonly tag: string;
    readonly labels: Readonly<Record<string, string>>;
  }): Promise<{ readonly imageId: string }>;
  stats(): Promise<SandboxStats>;
  /** Bytes that a directory inside takes up, counted by the sandbox itself; null when it cannot count. */
  measure(directory: string): Promise<number | null>;
}

/** A container that serves for the time of one call, and does not run: it has not begun, needs no beginning, or has ended. */
export interface HelperFacts {
  readonly ref: string;
  readonly name: string;
  readonly createdAt: string;
  /** Null for one that never ran. */
  readonly endedAt: string | null;
}

/** What a runtime can and cannot do on this engine, found out by asking it. */
export interface RuntimeCapabilities {
  readonly engine: {
    readonly name: string;
    readonly version: string;
    readonly apiVersion: string;
    readonly rootless: boolean;
    readonly endpoint: string;
    /** The engine's own id, the same whatever address it is reached by. */
    readonly id: string;
  };
  readonly limits: { readonly memory: boolean; readonly cpu: boolean; readonly pids: boolean; readonly disk: boolean };
  readonly seccomp: boolean;
  /** True when a sandbox can be without any route. */
  readonly noRoute: boolean;
  readonly userNamespaces: boolean;
  readonly runtimes: readonly string[];
  readonly storageDriver: string;
  readonly cgroupVersion: '1' | '2';
  /**
   * What a sandbox on an image without `sh` can do: run programs, but no scripts; or nothing.
   */
  readonly imagesWithoutShell: 'programs' | 'none';
}

/** Makes and finds sandboxes on one engine. */
export interface SandboxRuntime {
  readonly name: string;
  readonly volumes: VolumePort;
  readonly networks: NetworkPort;
  /** @throws OpencodeToolsError `OCT_ENGINE_UNAVAILABLE` saying what each endpoint answered. */
  capabilities(): Promise<RuntimeCapabilities>;
  /**
   * Makes a sandbox and starts it. On an image without `sh` it takes programs alone: scripts, shells and files are then refused
   * with `OCT_CAPABILITY_UNSUPPORTED`. Idempotent by `operationId`: a container that an interrupted call left is adopted.
   *
   * @throws OpencodeToolsError `OCT_IMAGE_NOT_FOUND`, `OCT_CAPABILITY_UNSUPPORTED`, `OCT_ENGINE_UNAVAILABLE`
   */
  create(plan: SandboxPlan, options?: { readonly signal?: AbortSignal }): Promise<SandboxHandle>;
  /** Undefined when no such container exists. */
  find(ref: string): Promise<SandboxHandle | undefined>;
  /** Sandboxes of a home, whatever their state. */
  list(filter: {
    readonly homeId: HomeId;
    readonly taskId?: TaskId;
    readonly operationId?: OperationId;
  }): Promise<readonly SandboxFacts[]>;
  /** Sandboxes of any home that run or are paused, and have a directory of the host, a part of it or what holds it. */
  listIn(directory: string): Promise<readonly SandboxFacts[]>;
  /** Containers by which trees of volumes are read and written, but those that run; each lives for the time of one call. */
  listHelpers(filter: { readonly homeId: HomeId }): Promise<readonly HelperFacts[]>;
  /** Tells what happens to the sandboxes of a home from now on, until the signal aborts or the engine goes away. */
  events(options: { readonly homeId: HomeId; readonly signal: AbortSignal }): AsyncIterable<SandboxEvent>;
  /** Removes a helper container. Absent is fine; anything that is no helper of this home is left alone. */
  removeHelper(ref: string): Promise<void>;
  /** Ends what this process holds open (lanes, sockets); sandboxes live on. */
  close(): Promise<void>;
}
