import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { printable } from '../errors/printable.ts';

/** What the script ends with when the reason is ours to explain. */
export const bundleEnds = {
  noGit: 40,
  noRepository: 41,
  unmerged: 42,
  nothing: 43,
  noRef: 44,
} as const;

/** Why a task did not bundle its commits, by how its script ended and what it said. */
export function bundleRefusal(code: number | null, ref: string, said: string): OpencodeToolsError {
  const refuse = (message: string, remedy: string): OpencodeToolsError =>
    new OpencodeToolsError('OCT_INVALID_ARGUMENT', message, { remedy, details: { argument: 'task' } });
  if (code === bundleEnds.noGit)
    return new OpencodeToolsError('OCT_CAPABILITY_UNSUPPORTED', 'The image of the task has no git', {
      remedy: 'Bring the files out with `apply`, or use an image that has git.',
    });
  if (code === bundleEnds.noRepository)
    return refuse('The workspace is no git repository any more', 'Bring the files out with `apply`.');
  if (code === bundleEnds.unmerged)
    return refuse('The workspace is in the middle of a merge', 'Finish or abort it in the task, then try again.');
  if (code === bundleEnds.noRef)
    return refuse(`The workspace has no commit ${ref}`, 'Name a branch, tag or commit of the task.');
  const words = printable(said.trim()).slice(0, 500);
  if (/No space left on device|Disk quota exceeded/.test(said)) {
    return new OpencodeToolsError(
      'OCT_RESOURCE_LIMIT',
      `No space is left where the task bundles its commits: ${words}`,
      {
        remedy: 'Free space in the workspace of the task, or on the disk of the engine, then try again.',
        details: { limit: 'disk' },
      },
    );
  }
  return refuse(`The task could not bundle its commits: ${words}`, 'Look at it there.');
}
