import type { NetworkSpec } from '../domain/sandbox-spec.ts';
import type { Task } from '../domain/task.ts';
import type { TaskId } from '../domain/ids.ts';
import type { NetworkFacts, NetworkFiles } from './network-port.ts';

/** One attempt to reach the outside. */
export interface EgressRequest {
  readonly host: string;
  readonly port: number;
  /** Plain HTTP and terminated hosts only. */
  readonly method?: string;
  readonly path?: string;
}

export interface EgressDecision {
  readonly allowed: boolean;
  /** Name of the rule that decided, or one of the gateway's own such as `default-deny`, `no-network`, `private-address`. */
  readonly rule: string;
  /** One sentence that names the rule, and for a denial the legal way to ask. */
  readonly explanation: string;
}

/** One line of a task's egress log. */
export interface EgressLogEntry {
  readonly at: string;
  /** How it came: `connect`, `http`, `https`, `tls`, `tcp`, `dns/<type>`, or `ip` for packets that found no route, see `packets`. */
  readonly via: string;
  readonly host: string;
  readonly port: number;
  readonly method?: string;
  readonly path?: string;
  /** With `ip` only: how many the kernel of the sandbox counted since the last such line. It tells no address; host and port are `*` and 0. */
  readonly packets?: number;
  readonly allowed: boolean;
  readonly rule: string;
  /** Denials only. */
  readonly explanation?: string;
}

/** A point in a task's egress log. */
export type EgressLogPosition = number;

/** Decides and enforces what may leave a sandbox. */
export interface EgressGateway {
  decide(network: NetworkSpec, request: EgressRequest): EgressDecision;
  /**
   * Joins policies that have names, of the configuration or built in, into one.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` naming those that there are
   */
  named(names: readonly string[]): NetworkSpec;
  /** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` naming the member and its accepted form */
  validate(network: NetworkSpec): void;
  /** Files that a sandbox needs from its start to have a network later; undefined where it never will. */
  prepare(task: Task): Promise<NetworkFiles | undefined>;
  /**
   * Puts the policy of a task in force for its running sandbox, and returns when it is: network, gateway, rules, secrets. Idempotent,
   * cheap when nothing has to be done. A task of an older version than the policy in force changes nothing.
   *
   * @param options `anew` asks the engine even when this process just did
   * @throws OpencodeToolsError `OCT_CAPABILITY_UNSUPPORTED`, `OCT_ENGINE_UNAVAILABLE`, `OCT_TIMEOUT`
   */
  enforce(task: Task, sandboxRef: string, options?: { readonly anew?: boolean }): Promise<void>;
  /**
   * Takes the network from a task.
   *
   * @param sandboxRef null when the sandbox is gone
   * @returns whether it had one
   */
  release(taskId: TaskId, sandboxRef: string | null): Promise<boolean>;
  /** Variables by which common clients find the gateway. Convenience only: nothing depends on them. */
  environment(task: Task): Promise<Readonly<Record<string, string>>>;
  /**
   * The values that requests of a task get as headers, by names for them: those of now, and former ones that this process knows of. For
   * whoever keeps outputs, since a server may say them.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` when they are known neither here nor to the gateway
   */
  injectedValues(task: Task): Promise<readonly Readonly<Record<string, string>>[]>;
  /**
   * Logs how many packets of a sandbox found no route, by what was counted so far: what was said of the same sandbox before is not said
   * again.
   */
  noteUnroutable(taskId: TaskId, counted: { readonly sandboxRef: string; readonly packets: number }): Promise<void>;
  /** The end of a task's log as it is now. */
  logPosition(taskId: TaskId): Promise<EgressLogPosition>;
  /** Entries from a position on, oldest first; with a limit the newest of them. */
  readLog(
    taskId: TaskId,
    range: { readonly from?: EgressLogPosition; readonly limit: number; readonly deniedOnly?: boolean },
  ): Promise<readonly EgressLogEntry[]>;
  /** What the engine has of the home's networks. */
  list(): Promise<readonly NetworkFacts[]>;
}
