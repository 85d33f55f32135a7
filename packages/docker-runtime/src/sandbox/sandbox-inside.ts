import type { BackgroundCommands, ByteStream, ExecOutcome, Fence, Logger, TerminalRequest } from '@opencode-tools/core';
import type { ContainerDescription, Containers } from '../engine/containers.ts';
import type { ControlAnswer, LaneOutput, RootVerb } from '../lane/lane.ts';
import type { UseOptions } from '../lane/lane-pool.ts';
import type { RunFrame } from '../lane/run-frame.ts';
import type { RunResult } from '../lane/run-result.ts';
import type { ProcessStarts } from './process-starts.ts';

/** Whom commands run as, whether there is a shell, and the limit of processes that they share with whatever of ours is in the sandbox. */
export interface SandboxUser {
  readonly uid: number;
  readonly gid: number;
  readonly pids: number | null;
  /** False when the image has none: then there are programs and their arguments, and no scripts. */
  readonly hasShell: boolean;
}

/** What one command at a time runs over. */
export interface CommandLane {
  /** Runs a command to its end. @throws LaneLostError when nobody can say how it ended */
  run(frame: Omit<RunFrame, 'nonce'>, output: LaneOutput, stdin?: Uint8Array | ByteStream): Promise<RunResult>;
  /** No longer waits for whoever takes the output of the command that runs: it is about to end. */
  flow(): void;
  /** Asks for the end of the command that runs; its own result follows. */
  end(execution: number): void;
  close(): void;
}

interface CommandLanes {
  /** Lends a lane for the time of `use`. @throws the signal's reason, when it is aborted before `use` is called */
  use<T>(use: (lane: CommandLane) => Promise<T>, options?: UseOptions): Promise<T>;
}

/** The inside of one container, as this process reaches it through the supervisors there. */
export interface SandboxInside {
  readonly id: string;
  readonly containers: Containers;
  /** Starts processes by the engine beside the lanes, and pauses. */
  readonly starts: ProcessStarts;
  readonly logger: Logger;
  readonly user: SandboxUser;
  /** Where commands run. */
  readonly lanes: CommandLanes;
  readonly background: BackgroundCommands;
  describe(): Promise<ContainerDescription>;
  /** The fence that `start` and `initialise` write. */
  remember(fence: Fence): void;
  /** Starts the container; a fence that is known is there before anything else can be asked for. @param options.isNew for the first time */
  start(options?: { readonly isNew?: boolean }): Promise<void>;
  /** Writes the fence into a running container that has none yet. */
  initialise(): Promise<void>;
  /** Opens what the first command would have to open otherwise. */
  connect(): Promise<void>;
  /** Raises the fence, and ends what it excludes by whatever it takes. */
  raise(fence: Fence): Promise<ControlAnswer>;
  /** Ends all processes of one execution, by whatever it takes. Returns how many there were. */
  cut(execution: number): Promise<number>;
  endAll(): Promise<number>;
  /** Sends a signal to every process of the commands' user, 0 for none. Returns how many there are. */
  ask(signal: 0 | 15): Promise<number>;
  /** Asks about the root file system of a container that runs; undefined when no lane is free for it. */
  askOfRoot(insists: boolean, verb: RootVerb, ...words: readonly number[]): Promise<boolean | undefined>;
  runTerminal(request: TerminalRequest): Promise<ExecOutcome>;
  /** `/proc/self/mountinfo` (proc_pid_mountinfo(5)) as a process inside has it. */
  readMounts(): Promise<string>;
  afterLoss(): Promise<ContainerDescription | undefined>;
  /** Says in the terms of the port what became of a sandbox whose stream ended, or whose engine refused one. */
  explain(error: unknown): Promise<unknown>;
  close(): void;
}
