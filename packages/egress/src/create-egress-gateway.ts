import { type Clock, type EgressGateway, type Logger, type TaskId, toTimestamp } from '@opencode-tools/core';
import { decide } from './decide.ts';
import { appendDecision } from './egress-log.ts';

export interface EgressGatewayOptions {
  /** Absolute directory that gets a task's `egress.jsonl`; made when it is absent. */
  readonly directory: (taskId: TaskId) => string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Makes the part of the gateway that decides and logs. It opens no socket and carries no traffic. */
export function createEgressGateway(options: EgressGatewayOptions): EgressGateway {
  return {
    decide,
    async log(taskId, request, decision) {
      const at = toTimestamp(options.clock.nowMs());
      await appendDecision(options.directory(taskId), at, request, decision);
      options.logger.debug('An egress decision was logged', { taskId, rule: decision.rule, allowed: decision.allowed });
    },
  };
}
