import { createInterface } from 'node:readline';
import type { HomeId, SandboxEvent, TaskId } from '@opencode-tools/core';
import type { EngineClient } from '../engine/engine-client.ts';
import { labelKeys } from '../plan/labels.ts';

interface EngineEvent {
  readonly Action?: string;
  readonly Actor?: { readonly ID?: string; readonly Attributes?: Readonly<Record<string, string>> };
  readonly timeNano?: number;
}

const kinds: Readonly<Record<string, SandboxEvent['kind']>> = { oom: 'out-of-memory', die: 'ended' };

/** Follows the engine's events about the sandboxes of a home until the signal aborts or the engine goes away. */
export async function* sandboxEvents(
  client: EngineClient,
  { homeId, signal }: { readonly homeId: HomeId; readonly signal: AbortSignal },
): AsyncGenerator<SandboxEvent> {
  const label = [`${labelKeys.home}=${homeId}`, `${labelKeys.kind}=sandbox`];
  const filters = JSON.stringify({ type: ['container'], event: Object.keys(kinds), label });
  const answer = await client.stream({ method: 'GET', path: '/events', query: { filters }, signal });
  const lines = createInterface({ input: answer, crlfDelay: Infinity });
  // A stream that is destroyed does not end the lines read from it.
  const onAbort = (): void => lines.close();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    for await (const line of lines) {
      const event = read(line);
      if (event) yield event;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
    answer.destroy();
  }
}

function read(line: string): SandboxEvent | undefined {
  const { Action: action = '', Actor: actor, timeNano: nanoseconds = 0 } = parse(line);
  const kind = kinds[action];
  const taskId = actor?.Attributes?.[labelKeys.task];
  if (!kind || !actor?.ID || !taskId) return undefined;
  return { kind, ref: actor.ID, taskId: taskId as TaskId, at: new Date(nanoseconds / 1e6).toISOString() };
}

function parse(line: string): EngineEvent {
  try {
    return JSON.parse(line) as EngineEvent;
  } catch {
    return {};
  }
}
