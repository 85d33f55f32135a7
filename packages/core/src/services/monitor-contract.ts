import type { SessionId, TaskId } from '../domain/ids.ts';
import type { Pressure } from '../domain/sandbox.ts';

export interface MonitorOptions {
  /** Sessions that this process keeps alive: a checkpoint of a task that one of them holds is taken under it. */
  readonly keptAlive?: ReadonlySet<SessionId>;
}

/** What a round acted upon. */
export interface MonitorAction {
  readonly taskId: TaskId;
  readonly pressure: Pressure;
}

/**
 * Watches how near running sandboxes are to their limits. From `warning` on it is recorded (`sandbox.limit_neared`, also an event),
 * from `critical` on a checkpoint is taken, at `emergency` the sandbox is paused and held until somebody raises its limits or
 * unpauses it. Any number of processes may watch one home.
 */
export interface MonitorService {
  /** Looks at every running sandbox once. A level counts when two rounds in a row saw it. */
  round(options?: MonitorOptions): Promise<readonly MonitorAction[]>;
  /** Looks again and again, and records when a sandbox runs out of memory, until it is closed. */
  start(options?: MonitorOptions): { close(): Promise<void> };
}
