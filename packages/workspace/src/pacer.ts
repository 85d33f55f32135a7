import { setImmediate } from 'node:timers/promises';
import { throwIfCancelled } from './failures.ts';

const sliceMs = 15;

/** Divides long synchronous work into slices, so that the process stays responsive, and notices cancellation between them. */
export interface Pacer {
  /** True when the slice is used up; then await `rest()`. */
  due(): boolean;
  /** @throws OpencodeToolsError `OCT_CANCELLED` */
  rest(): Promise<void>;
}

export function createPacer(signal: AbortSignal | undefined): Pacer {
  throwIfCancelled(signal);
  let started = performance.now();
  let calls = 0;
  return {
    due: () => {
      calls += 1;
      return (calls & 15) === 0 && performance.now() - started > sliceMs;
    },
    rest: async () => {
      await setImmediate();
      throwIfCancelled(signal);
      started = performance.now();
    },
  };
}
