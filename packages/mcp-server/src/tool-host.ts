import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Actor, type Logger, type OpenHome, OpencodeToolsError, type SessionId } from '@opencode-tools/core';
import { type Heartbeat, createHeartbeat } from './heartbeat.ts';
import type { Caller, ToolContext } from './tool.ts';

const longestWaitMs = 3_000;

/** What one call brings along. */
interface Invocation {
  /** Name of the client program. */
  readonly client: string;
  readonly signal: AbortSignal;
  readonly progress: (message: string) => void;
}

/** What all calls of a server share: the home, opened at the first call, and the sessions kept alive. */
export interface ToolHost {
  /** Does the work of one call; `close` waits for it. */
  run<T>(invocation: Invocation, work: (context: ToolContext) => Promise<T>): Promise<T>;
  /**
   * Ends all heartbeats, waits until aborted calls have recorded how they ended, at most 3 s, and closes the home. Sessions stay
   * attached until their leases run out.
   */
  close(): Promise<void>;
}

/**
 * Makes the state behind a server.
 *
 * @param open opens the home; called at the first tool call, and again after it failed
 */
export function createToolHost(open: () => Promise<OpenHome>, logger: Logger): ToolHost {
  const kept = new Set<SessionId>();
  let watch: { close(): Promise<void> } | undefined;
  const home = openOnce(async () => {
    const opened = await open();
    watch = opened.services.monitor.start({ keptAlive: kept });
    return opened;
  });
  const actors = new Map<SessionId, Actor>();
  const underWay = new Set<Promise<unknown>>();
  const heartbeat = createHeartbeat(async (id) => (await home.get()).services.sessions.renew(id), logger);
  return {
    async run(invocation, work) {
      const running = home
        .get()
        .then((opened) => work(createContext(opened, { ...invocation, actors, kept, heartbeat })));
      underWay.add(running);
      try {
        return await running;
      } finally {
        underWay.delete(running);
      }
    },
    async close() {
      heartbeat.stopAll();
      await Promise.race([Promise.allSettled(underWay), delay(longestWaitMs, undefined, { ref: false })]);
      await watch?.close();
      await home.close();
    },
  };
}

interface Shared extends Invocation {
  readonly actors: Map<SessionId, Actor>;
  readonly kept: Set<SessionId>;
  readonly heartbeat: Heartbeat;
}

function createContext(home: OpenHome, shared: Shared): ToolContext {
  const { actors, kept, heartbeat, signal, progress } = shared;
  const correlationId = randomUUID().replaceAll('-', '');
  return {
    home,
    signal,
    progress,
    taskId: (reference, idempotencyKey) =>
      home.services.tasks.resolve(reference, idempotencyKey === undefined ? {} : { idempotencyKey }),
    call: async (who, idempotencyKey) => ({
      actor: await actorOf(home, shared, who),
      correlationId,
      signal,
      onProgress: progress,
      ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    }),
    keepAlive(sessionId, ttlMs, actor) {
      actors.set(sessionId, { ...actor, session: sessionId });
      kept.add(sessionId);
      heartbeat.start(sessionId, ttlMs);
    },
    letGo(sessionId) {
      actors.delete(sessionId);
      kept.delete(sessionId);
      heartbeat.stop(sessionId);
    },
  };
}

async function actorOf(home: OpenHome, { actors, client }: Shared, who: Caller): Promise<Actor> {
  const { sessionId } = who;
  if (sessionId === undefined) {
    const name = who.agent ?? client;
    return { kind: 'agent', id: name, agent: name, model: who.model ?? null, session: null, onBehalfOf: null };
  }
  const known = actors.get(sessionId);
  if (known !== undefined) return known;
  const { agent, model } = await home.services.sessions.get(sessionId);
  const actor: Actor = { kind: 'agent', id: agent, agent, model, session: sessionId, onBehalfOf: null };
  actors.set(sessionId, actor);
  return actor;
}

/** Opens on demand, once for all callers; a failed attempt is forgotten. */
function openOnce(open: () => Promise<OpenHome>) {
  let opening: Promise<OpenHome> | undefined;
  let isClosed = false;
  return {
    async get(): Promise<OpenHome> {
      if (isClosed) throw new OpencodeToolsError('OCT_CANCELLED', 'The server is shutting down');
      opening ??= open();
      try {
        return await opening;
      } catch (error) {
        opening = undefined;
        throw error;
      }
    },
    async close(): Promise<void> {
      if (isClosed) return;
      isClosed = true;
      const home = await opening?.catch(() => undefined);
      await home?.close();
    },
  };
}
