import type { TaskId } from '../domain/ids.ts';
import type { LimitRequest, LiveLimits, ResourceLimits } from '../domain/sandbox-spec.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { Task } from '../domain/task.ts';
import type { Call, UnderSession } from './call.ts';

/** Settings of a sandbox that can be changed after its task was created; image, user, workspace and network cannot. */
export interface SandboxSettings {
  /** Memory, cores and processes apply while it runs; the size of `/tmp` needs a new container. */
  readonly limits?: Partial<ResourceLimits>;
  /** Needs a new container. */
  readonly readOnlyRoot?: boolean;
  /** Needs a new container; null is the engine's default. */
  readonly runtime?: string | null;
}

/** How a change of settings came into force. */
export interface SandboxUpdate {
  readonly task: Task;
  /** `unchanged`; `live` while it runs; `recreated` by a new container; `next-start` when there is no container yet. */
  readonly applied: 'unchanged' | 'live' | 'recreated' | 'next-start';
}

/** The sandbox of a task by itself: sessions and the task's status stay as they are. */
export interface SandboxService {
  /** Makes it when it is missing, starts or unpauses it. Idempotent. */
  start(id: TaskId, options: UnderSession, call: Call): Promise<Sandbox>;
  /** Ends what runs in it. Its files stay, and the next command starts it again. Fine when there is none. */
  stop(id: TaskId, options: UnderSession & { readonly graceMs?: number }, call: Call): Promise<Sandbox | null>;
  restart(id: TaskId, options: UnderSession & { readonly graceMs?: number }, call: Call): Promise<Sandbox>;
  /** Freezes what runs in it, whoever holds the task. The next command unpauses it. */
  pause(id: TaskId, call: Call): Promise<Sandbox>;
  /** Lets it go on, also after it was held because it neared a limit. */
  unpause(id: TaskId, call: Call): Promise<Sandbox>;
  /** Saves what exists only in it as a checkpoint, then removes its container; volumes stay. The next command makes another. */
  destroy(id: TaskId, options: UnderSession, call: Call): Promise<Sandbox | null>;
  /**
   * Changes settings. Limits are raised by people alone, up to the configured maximum; agents ask by `requestLimits`.
   *
   * @param options `recreate: true` allows what needs a new container, which ends what runs in the sandbox
   * @throws OpencodeToolsError `OCT_POLICY_DENIED`; `OCT_RESOURCE_LIMIT` when more is in use, or asked for, than is possible;
   *   `OCT_INVALID_ARGUMENT` for what needs a new container without `recreate`
   */
  update(
    id: TaskId,
    settings: SandboxSettings,
    options: UnderSession & { readonly recreate?: boolean },
    call: Call,
  ): Promise<SandboxUpdate>;
  /** Records a request for higher limits, in place of an earlier one. */
  requestLimits(
    id: TaskId,
    request: { readonly limits: Partial<LiveLimits>; readonly reason: string },
    call: Call,
  ): Promise<LimitRequest>;
  /** A person's answer to the request; when granted, the limits apply at once and a held sandbox goes on. */
  answerLimits(
    id: TaskId,
    answer: { readonly granted: boolean; readonly reason?: string },
    call: Call,
  ): Promise<SandboxUpdate>;
}
