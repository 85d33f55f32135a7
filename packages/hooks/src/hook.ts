import type { Clock, GitPort, HookContext, HookPoint, Logger } from '@opencode-tools/core';

/** What a hook may use besides its context. */
export interface HookApi {
  /** Null when the registry was made without git. */
  readonly git: GitPort | null;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Aborts when the hook's time is over. */
  readonly signal: AbortSignal;
}

/**
 * One piece of policy or convenience that runs at named points and may veto what is about to happen.
 *
 * It runs outside any transaction and may run again for the same change, so what it does must bear repetition.
 */
export interface Hook {
  /** Unique in a registry: 1 to 64 of `a-z`, `0-9` and `-`. Recorded with every run. */
  readonly name: string;
  readonly points: readonly HookPoint[];
  /** True keeps the change going whatever this hook does; its refusal or failure is recorded as a message. */
  readonly advisory?: boolean;
  /** 1 to 600,000; the registry's default when absent. */
  readonly timeoutMs?: number;
  /** Smaller runs earlier; default 0. Equal ones run as registered. */
  readonly order?: number;
  /**
   * Does the hook's work.
   *
   * @returns one line that says what it did
   * @throws HookRejection to veto; anything else counts as a failure, which refuses the change too
   */
  run(context: HookContext, api: HookApi): Promise<string> | string;
}
