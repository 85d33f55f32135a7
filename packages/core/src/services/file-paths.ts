import path from 'node:path/posix';
import type { Task } from '../domain/task.ts';
import { homeMount } from './sandbox-plan.ts';
import { invalid } from './validate.ts';

const longestPath = 4_096;

/** The absolute path, in the sandbox, of one that is relative to the workspace. */
export function sandboxPath(task: Task, given: string, argument = 'path'): string {
  if (given === '') throw invalid(argument, 'is empty', 'Name a file or directory; `.` is the workspace.');
  if (given.includes('\0')) throw invalid(argument, 'holds a NUL character', 'Remove it.');
  if (!given.replaceAll(/[\udc80-\udcff]/gu, '').isWellFormed())
    throw invalid(
      argument,
      'holds half a character',
      'Give valid Unicode text; a byte that is no UTF-8 is U+DC80 to U+DCFF.',
    );
  if (given.length > longestPath)
    throw invalid(argument, `has ${given.length} characters`, `Give at most ${longestPath} characters.`);
  return path.resolve(task.workspace.path, given);
}

/** Relative to the workspace; undefined for what is outside of it, which no claim covers. */
export function workspacePath(task: Task, absolute: string): string | undefined {
  const relative = path.relative(task.workspace.path, absolute);
  return relative === '..' || relative.startsWith('../') ? undefined : relative;
}

/** Removing or moving these would take the ground from under the sandbox. */
export function assertNoGround(task: Task, absolute: string): void {
  const grounds = [task.workspace.path, homeMount, '/tmp'];
  if (!grounds.some((ground) => ground === absolute || ground.startsWith(absolute === '/' ? '/' : `${absolute}/`)))
    return;
  throw invalid('path', `${absolute} is or holds the workspace, home or /tmp`, 'Name something inside of it.');
}

/** A path as text for records and messages: bytes that are no UTF-8 as `\xff`. */
export function recordedPath(absolute: string): string {
  return absolute
    .replaceAll(/[\udc80-\udcff]/gu, (byte) => `\\x${(byte.charCodeAt(0) & 0xff).toString(16)}`)
    .toWellFormed();
}
