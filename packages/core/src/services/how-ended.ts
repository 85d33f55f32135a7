import type { EndReason, Execution } from '../domain/execution.ts';

const endings: Readonly<Record<Exclude<EndReason, 'exited' | 'signalled'>, string>> = {
  timeout: 'its time was over',
  cancelled: 'its caller gave it up',
  fenced: 'another session took the task over',
  'out-of-memory': 'memory ran out',
  'output-limit': 'it put out more than is kept',
  'sandbox-gone': 'its sandbox went away',
  'owner-died': 'its process died',
};

/** How an execution ended, as a part of a sentence. */
export function howEnded({ state, reason, exitCode, signal }: Execution): string {
  if (reason === null) return state === 'running' ? 'it is gone' : state;
  if (reason === 'exited') return exitCode === null ? 'it has ended' : `it exited with ${exitCode}`;
  if (reason === 'signalled') return `${signal ?? 'a signal'} ended it`;
  return endings[reason];
}
