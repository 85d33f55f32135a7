import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { ExecOutcome } from '../ports/exec-request.ts';
import { printable } from '../errors/printable.ts';

/** What the script ends with when the reason is ours to explain. */
export const bundleEnds = {
  noGit: 40,
  noRepository: 41,
  unmerged: 42,
  nothing: 43,
  noRef: 44,
} as const;

/** How the script ended, and what it was at. */
export interface BundleEnd extends Pick<ExecOutcome, 'reason' | 'exitCode' | 'signal'> {
  readonly step: string;
  readonly limitMs: number;
}

/** Why a task did not bundle its commits, by how its script ended and what it said. */
export function bundleRefusal(end: BundleEnd, ref: string, said: string): OpencodeToolsError {
  const { reason, exitCode: code, step, limitMs } = end;
  if (reason === 'timeout')
    return new OpencodeToolsError('OCT_TIMEOUT', `${step} in the task did not end in ${limitMs / 1_000} s`, {
      remedy:
        'Look there for what holds it up: `git config --get-regexp ^filter` names programs that git runs for `.gitattributes`. Or bring the files out with `apply`.',
      details: { limit: 'bundling commits', valueMs: limitMs },
    });
  if (reason === 'cancelled')
    return new OpencodeToolsError('OCT_CANCELLED', `Bundling the commits of the task was cancelled at ${step}`);
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
  const how = code === null ? `it was ended (${end.signal ?? reason})` : `it ended with code ${code}`;
  const why = words === '' ? `${how} at ${step} and said nothing` : words;
  return refuse(`The task could not bundle its commits: ${why}`, 'Look at it there.');
}
