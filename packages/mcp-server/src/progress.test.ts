import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createProgress } from './progress.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

function record() {
  const sent: (readonly [number, string])[] = [];
  return { sent, progress: createProgress((count, message) => sent.push([count, message])) };
}

test('silence is broken every 5 s, with growing numbers', () => {
  const { sent, progress } = record();
  progress.report('running');
  vi.advanceTimersByTime(12_000);
  expect(sent).toEqual([
    [1, 'running (0 s)'],
    [2, 'running (5 s)'],
    [3, 'running (10 s)'],
  ]);
  progress.end();
});

test('changes are told at most twice a second, and the last one is not lost', () => {
  const { sent, progress } = record();
  for (let count = 0; count < 100; count += 1) {
    progress.report(`step ${count}`);
    vi.advanceTimersByTime(10);
  }
  expect(sent.map(([, message]) => message)).toEqual(['step 0 (0 s)', 'step 50 (1 s)']);
  vi.advanceTimersByTime(5_000);
  expect(sent.at(-1)?.[1]).toBe('step 99 (5 s)');
  progress.end();
});

test('nothing is sent after the end', () => {
  const { sent, progress } = record();
  progress.end();
  vi.advanceTimersByTime(60_000);
  expect(sent).toEqual([]);
});
