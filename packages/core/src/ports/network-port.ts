import type { TaskId } from '../domain/ids.ts';

/** Files of the host that a sandbox with a network has from its start; what is in them may change while it runs. */
export interface NetworkFiles {
  /** Its `/etc/resolv.conf`. */
  readonly nameServerFile: string;
  /** Directory with the certificates that it may trust, at `/run/opencode-tools`. */
  readonly trustDirectory: string;
}

/** The gateway's process, for the runtime that has to run it. */
export interface GatewayPlan {
  /** Absolute directory of the host that is `/egress` in the gateway, read-only but for `out` in it. */
  readonly directory: string;
  /** Arguments for Node. */
  readonly argv: readonly string[];
  /** Whom the directory belongs to. */
  readonly user: { readonly uid: number; readonly gid: number };
  /** Names program and settings: a gateway of another version is replaced. */
  readonly version: string;
  /** Image that has Node as `node`; null for one made from the Node of this host. */
  readonly image: string | null;
}

/** A task's own network: nobody is in it but the sandbox and the gateway, and no route leaves it. */
export interface TaskNetwork {
  readonly name: string;
  readonly gatewayAddress: string;
  readonly sandboxAddress: string;
  /** When the gateway's process was started. */
  readonly gatewayStartedAt: string;
}

/** What the engine has of the networks of a home. */
export interface NetworkFacts {
  readonly kind: 'network' | 'uplink' | 'gateway';
  readonly ref: string;
  readonly name: string;
  readonly taskId: TaskId | null;
  readonly createdAt: string;
  /** Of a gateway that runs: networks of the home that it is not in, by name; the next command of a task puts it back. */
  readonly apartFrom?: readonly string[];
  /** True of a gateway whose process does not run; absent otherwise. */
  readonly stopped?: true;
}

/** Networks of tasks and the gateway between them and the outside. All methods are idempotent. */
export interface NetworkPort {
  /**
   * Makes the task's network and joins sandbox and gateway to it; the gateway is started, or made anew when its version differs.
   *
   * @throws OpencodeToolsError `OCT_CAPABILITY_UNSUPPORTED` when the engine cannot run the gateway, `OCT_ENGINE_UNAVAILABLE`
   */
  attach(taskId: TaskId, sandboxRef: string, gateway: GatewayPlan): Promise<TaskNetwork>;
  /**
   * Takes a sandbox off the task's network and removes the network; the gateway goes with the last one.
   *
   * @param sandboxRef null when the sandbox is gone
   * @returns whether there was one
   */
  detach(taskId: TaskId, sandboxRef: string | null): Promise<boolean>;
  /**
   * Runs the gateway's program beside it, with arguments after its own, and gives it the text to read.
   *
   * @returns what it says after `taken`
   */
  tell(gateway: GatewayPlan, argv: readonly string[], text: string): Promise<string>;
  list(): Promise<readonly NetworkFacts[]>;
}
