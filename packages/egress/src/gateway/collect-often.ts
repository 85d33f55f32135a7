import { performance } from 'node:perf_hooks';

const everyMs = 500;
const busy = 0.05;

/**
 * Collects twice a second while there is something to do. What is left of a connection is small for the collector, which would wait for
 * more, and holds several times as much outside of its heap.
 *
 * @param collect the collector, where Node was started with `--expose-gc`
 * @returns ends it
 */
export function collectOften(collect: () => void): () => void {
  let before = performance.eventLoopUtilization();
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization();
    if (performance.eventLoopUtilization(now, before).utilization > busy) collect();
    before = now;
  }, everyMs).unref();
  return () => clearInterval(timer);
}
