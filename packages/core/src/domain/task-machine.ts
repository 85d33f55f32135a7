import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { TaskStatus } from './task.ts';

/** The one table of moves; a status may always move to those listed and to no other. */
export const taskMoves = {
  pending: ['running', 'suspended', 'failed', 'cancelled'],
  running: ['suspended', 'completed', 'failed', 'cancelled'],
  suspended: ['running', 'completed', 'failed', 'cancelled'],
  failed: ['running', 'suspended', 'completed', 'cancelled'],
  completed: ['suspended'],
  cancelled: ['suspended'],
} as const satisfies Record<TaskStatus, readonly TaskStatus[]>;

/** The record type of a move, by the status moved to and the one left. */
export function moveRecordType(from: TaskStatus, to: TaskStatus): TaskMoveType {
  if (to === 'suspended') return from === 'completed' || from === 'cancelled' ? 'task.reopened' : 'task.suspended';
  if (to === 'running') return from === 'pending' ? 'task.started' : 'task.resumed';
  return `task.${to as 'completed' | 'failed' | 'cancelled'}`;
}

export type TaskMoveType =
  | 'task.started'
  | 'task.resumed'
  | 'task.suspended'
  | 'task.reopened'
  | 'task.completed'
  | 'task.failed'
  | 'task.cancelled';

export function canMove(from: TaskStatus, to: TaskStatus): boolean {
  return (taskMoves[from] as readonly TaskStatus[]).includes(to);
}

/**
 * Checks a move against the table.
 *
 * @throws OpencodeToolsError `OCT_INVALID_TRANSITION` naming both statuses and the moves that are allowed.
 */
export function assertMove(from: TaskStatus, to: TaskStatus): void {
  if (canMove(from, to)) return;
  const allowed = taskMoves[from].join(', ');
  throw new OpencodeToolsError('OCT_INVALID_TRANSITION', `A ${from} task cannot become ${to}`, {
    remedy:
      from === 'completed' || from === 'cancelled'
        ? 'Reopen the task by attaching to it, then try again.'
        : `From ${from} a task may become: ${allowed}.`,
    details: { from, to, allowed },
  });
}
