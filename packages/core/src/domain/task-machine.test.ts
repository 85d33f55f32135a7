import { describe, expect, test } from 'vitest';
import { assertMove, canMove, moveRecordType, taskMoves } from './task-machine.ts';
import { type TaskStatus, taskStatuses } from './task.ts';

const moves = {
  pending: ['running', 'suspended', 'failed', 'cancelled'],
  running: ['suspended', 'completed', 'failed', 'cancelled'],
  suspended: ['running', 'completed', 'failed', 'cancelled'],
  failed: ['running', 'suspended', 'completed', 'cancelled'],
  completed: ['suspended'],
  cancelled: ['suspended'],
} as const satisfies Record<TaskStatus, readonly TaskStatus[]>;

const recordTypes = {
  'pending > running': 'task.started',
  'pending > suspended': 'task.suspended',
  'pending > failed': 'task.failed',
  'pending > cancelled': 'task.cancelled',
  'running > suspended': 'task.suspended',
  'running > completed': 'task.completed',
  'running > failed': 'task.failed',
  'running > cancelled': 'task.cancelled',
  'suspended > running': 'task.resumed',
  'suspended > completed': 'task.completed',
  'suspended > failed': 'task.failed',
  'suspended > cancelled': 'task.cancelled',
  'failed > running': 'task.resumed',
  'failed > suspended': 'task.suspended',
  'failed > completed': 'task.completed',
  'failed > cancelled': 'task.cancelled',
  'completed > suspended': 'task.reopened',
  'cancelled > suspended': 'task.reopened',
};

const pairs = taskStatuses.flatMap((from) => taskStatuses.map((to) => [from, to] as const));

test('the table of moves is the one of the architecture', () => {
  expect(taskMoves).toEqual(moves);
  expect(Object.keys(taskMoves)).toEqual([...taskStatuses]);
});

describe.each(pairs)('from %s to %s', (from, to) => {
  const allowed = (moves[from] as readonly TaskStatus[]).includes(to);

  test(`the move is ${allowed ? 'allowed and has its record type' : 'refused, naming both and the way out'}`, () => {
    expect(canMove(from, to)).toBe(allowed);
    if (allowed) {
      expect(() => assertMove(from, to)).not.toThrow();
      expect(moveRecordType(from, to)).toBe(recordTypes[`${from} > ${to}` as keyof typeof recordTypes]);
      return;
    }
    const ended = from === 'completed' || from === 'cancelled';
    expect(() => assertMove(from, to)).toThrow(
      expect.objectContaining({
        code: 'OCT_INVALID_TRANSITION',
        message: `A ${from} task cannot become ${to}`,
        remedy: ended
          ? 'Reopen the task by attaching to it, then try again.'
          : `From ${from} a task may become: ${moves[from].join(', ')}.`,
        details: { from, to, allowed: moves[from].join(', ') },
      }),
    );
  });
});

test('from every status a task can be stopped or resumed, and can come to every other status but pending', () => {
  for (const from of taskStatuses) {
    const reached = new Set<TaskStatus>([from]);
    for (const status of reached) for (const next of taskMoves[status]) reached.add(next);
    expect([...taskStatuses].filter((status) => status !== 'pending' && !reached.has(status))).toEqual([]);
  }
});
