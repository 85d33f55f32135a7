import type { NetworkSpec } from '../domain/sandbox-spec.ts';
import type { TaskId } from '../domain/ids.ts';

/** One attempt to reach the outside. */
export interface EgressRequest {
  readonly host: string;
  readonly port: number;
  /** Plain HTTP only. */
  readonly method?: string;
  readonly path?: string;
}

export interface EgressDecision {
  readonly allowed: boolean;
  /** Name of the rule that decided, or `default-deny`, `no-network`, `private-address`. */
  readonly rule: string;
  /** One sentence that names the rule, and for a denial the legal way to ask. */
  readonly explanation: string;
}

/** Decides and logs what may leave a sandbox. */
export interface EgressGateway {
  decide(network: NetworkSpec, request: EgressRequest): EgressDecision;
  /** Appends one decision to the task's egress log. */
  log(taskId: TaskId, request: EgressRequest, decision: EgressDecision): Promise<void>;
}
