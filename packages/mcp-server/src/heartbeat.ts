import { type Lease, type Logger, type SessionId, isOpencodeToolsError } from '@opencode-tools/core';

/** Renews leases on timers that do not keep the process alive. */
export interface Heartbeat {
  /** Begins to renew a session's lease, three times in each time to live. */
  start(sessionId: SessionId, ttlMs: number): void;
  stop(sessionId: SessionId): void;
  stopAll(): void;
}

const longestIntervalMs = 300_000;
const shortestIntervalMs = 200;

/**
 * Makes a heartbeat.
 *
 * @param renew extends a session's lease; when it says that lease or session is gone, its heartbeat ends, and any other
 *   failure is tried again at the next beat
 */
export function createHeartbeat(renew: (sessionId: SessionId) => Promise<Lease>, logger: Logger): Heartbeat {
  const timers = new Map<SessionId, NodeJS.Timeout>();
  const stop = (sessionId: SessionId) => {
    clearInterval(timers.get(sessionId));
    timers.delete(sessionId);
  };
  const beat = async (sessionId: SessionId) => {
    try {
      await renew(sessionId);
    } catch (error) {
      const isOver =
        isOpencodeToolsError(error, 'OCT_LEASE_LOST') || isOpencodeToolsError(error, 'OCT_SESSION_NOT_FOUND');
      if (isOver) stop(sessionId);
      logger.warn(isOver ? 'A session has ended elsewhere' : 'A lease could not be renewed', { sessionId });
    }
  };
  return {
    start(sessionId, ttlMs) {
      stop(sessionId);
      const intervalMs = Math.min(longestIntervalMs, Math.max(shortestIntervalMs, Math.floor(ttlMs / 3)));
      let isBeating = false;
      const timer = setInterval(() => {
        if (isBeating) return;
        isBeating = true;
        void beat(sessionId).finally(() => {
          isBeating = false;
        });
      }, intervalMs);
      timers.set(sessionId, timer.unref());
    },
    stop,
    stopAll: () => [...timers.keys()].forEach(stop),
  };
}
