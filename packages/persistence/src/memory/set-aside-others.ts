import { lstatSync } from 'node:fs';
import { logSegments } from './log-files.ts';
import type { Repair } from './projector.ts';
import type { TaskPaths } from './task-paths.ts';
import { lineViews } from './views.ts';

type Kind = 'file' | 'directory';
/** Gives a place another name, and says which. */
type KeepAside = (place: string) => Promise<string | null>;

/**
 * Moves aside what stands where a file or a directory of a task belongs and is of another kind. A directory cannot be replaced, a
 * pipe lets whoever opens it wait for ever, and what is written through a link lands in a file that is not ours.
 */
export async function setAsideOthers(paths: TaskPaths, keepAside: KeepAside): Promise<readonly Repair[]> {
  const segments = logSegments(paths.directory).map(({ file }) => file);
  const repairs: Repair[] = [];
  for (const file of [...lineViews.map((view) => view.file), ...segments, 'decisions.md', 'state.json']) {
    repairs.push(...(await setAsideOther(paths, file, 'file', keepAside)));
  }
  for (const file of ['executions', 'checkpoints']) {
    repairs.push(...(await setAsideOther(paths, file, 'directory', keepAside)));
  }
  return repairs;
}

/** @param file relative to the directory of the task */
export async function setAsideOther(
  paths: TaskPaths,
  file: string,
  kind: Kind,
  keepAside: KeepAside,
): Promise<readonly Repair[]> {
  if (!isOther(paths.file(file), kind)) return [];
  return [{ file, fault: `no-${kind}`, keptAs: await keepAside(paths.file(file)) }];
}

/** Whether something stands in this place, and is of another kind. A look takes less than another thread would to be asked for it. */
export function isOther(place: string, kind: Kind): boolean {
  const found = lstatSync(place, { throwIfNoEntry: false });
  return found !== undefined && !(kind === 'file' ? found.isFile() : found.isDirectory());
}
