import type { CheckpointId, TaskId } from '../domain/ids.ts';
import type { NetworkSpec } from '../domain/sandbox-spec.ts';
import type { Task } from '../domain/task.ts';
import type { EgressDecision, EgressLogEntry, EgressRequest } from '../ports/egress-gateway.ts';
import type { Call, UnderSession } from './call.ts';

export interface SetNetwork extends UnderSession {
  readonly network: NetworkSpec;
  /** True ends executions where the container has to be made anew; else such a change is refused while any runs. */
  readonly endExecutions?: boolean;
}

export interface NetworkChange {
  readonly task: Task;
  /** `live` while the sandbox runs on, `recreated` when its container is made anew at the next use, `at-start` when none runs. */
  readonly applied: 'live' | 'recreated' | 'at-start';
  /** What was saved before the container was removed. */
  readonly savedCheckpointId: CheckpointId | null;
}

export interface EgressCheck extends EgressDecision {
  readonly request: EgressRequest;
}

/** What may leave the sandboxes of tasks. */
export interface EgressService {
  /**
   * Says what the policy of a task makes of an address, without connecting to anything and without logging it. The addresses that
   * a name leads to are decided about when it is connected to.
   *
   * @param url `https://host/path`, `http://host:port/path` or `host:port`
   */
  check(taskId: TaskId, url: string, options?: { readonly method?: string }): Promise<EgressCheck>;
  /**
   * Joins policies by name, of the configuration or built in, into a network for a task.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` naming those that there are
   */
  named(names: readonly string[]): NetworkSpec;
  /**
   * Changes the network of a task: live among policies and between `upgradable` and a policy; a container that was made with
   * `fixed-none` is saved and made anew.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT`, `OCT_VERSION_CONFLICT` while executions run where they would have to end,
   *   `OCT_HOOK_REJECTED`, those of `EgressGateway.enforce`
   */
  set(taskId: TaskId, options: SetNetwork, call: Call): Promise<NetworkChange>;
  /** The newest entries of a task's log, oldest first. @param options `limit` 1 to 10,000; default 100 */
  log(
    taskId: TaskId,
    options?: { readonly limit?: number; readonly deniedOnly?: boolean },
  ): Promise<readonly EgressLogEntry[]>;
}
