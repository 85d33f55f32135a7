import {
  type Lease,
  OpencodeToolsError,
  type SessionId,
  createIds,
  silentLogger,
  systemClock,
} from '@opencode-tools/core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createHeartbeat } from './heartbeat.ts';

const sessionId = createIds(systemClock).next('session');

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function record(answer: (count: number) => Promise<Lease>) {
  const renewed: SessionId[] = [];
  const heartbeat = createHeartbeat((id) => {
    renewed.push(id);
    return answer(renewed.length);
  }, silentLogger);
  return { renewed, heartbeat };
}

const fails = (code: 'OCT_LEASE_LOST' | 'OCT_SESSION_NOT_FOUND' | 'OCT_STORE_UNAVAILABLE') =>
  Promise.reject(new OpencodeToolsError(code, 'No.'));

test('a lease is renewed three times in its time to live, also after a failure that passes', async () => {
  const { renewed, heartbeat } = record(() => fails('OCT_STORE_UNAVAILABLE'));
  heartbeat.start(sessionId, 900_000);
  await vi.advanceTimersByTimeAsync(900_000);
  expect(renewed).toEqual([sessionId, sessionId, sessionId]);
  heartbeat.stopAll();
});

test.each(['OCT_LEASE_LOST', 'OCT_SESSION_NOT_FOUND'] as const)('%s ends the heartbeat', async (code) => {
  const { renewed, heartbeat } = record(() => fails(code));
  heartbeat.start(sessionId, 900_000);
  await vi.advanceTimersByTimeAsync(9_000_000);
  expect(renewed).toHaveLength(1);
  expect(vi.getTimerCount()).toBe(0);
});

test('a session that is let go is not renewed any more', async () => {
  const { renewed, heartbeat } = record(() => fails('OCT_STORE_UNAVAILABLE'));
  heartbeat.start(sessionId, 900_000);
  heartbeat.stop(sessionId);
  await vi.advanceTimersByTimeAsync(9_000_000);
  expect(renewed).toEqual([]);
});

test('a renewal that takes long is not asked for twice', async () => {
  const { renewed, heartbeat } = record(() => new Promise(() => undefined));
  heartbeat.start(sessionId, 900_000);
  await vi.advanceTimersByTimeAsync(9_000_000);
  expect(renewed).toHaveLength(1);
  heartbeat.stopAll();
});
