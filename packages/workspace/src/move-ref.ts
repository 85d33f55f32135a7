import { OpencodeToolsError } from '@opencode-tools/core';
import { invalid } from './failures.ts';
import { type GitCall, type GitRunner, gitFailure } from './git-runner.ts';

/** What git says when another one was faster, or is at work. */
const raced = /\.lock': File exists| is at [0-9a-f]+ but expected|reference already exists|unable to resolve reference/;

export interface RefMove {
  readonly ref: string;
  /** Where it is; null where there is none. */
  readonly from: string | null;
  /** Null removes it. */
  readonly to: string | null;
  /** For its log. */
  readonly said: string;
}

/**
 * Moves a ref by compare-and-set.
 *
 * @throws OpencodeToolsError `OCT_VERSION_CONFLICT` when it is somewhere else, or another git is moving it; then it is left there;
 *   `OCT_INVALID_ARGUMENT` where a branch is in the way whose name begins it, or that begins with its
 */
export async function moveRef(
  git: GitRunner,
  call: Pick<GitCall, 'cwd' | 'environment'>,
  { ref, from, to, said }: RefMove,
): Promise<void> {
  const values = to === null ? ['-d', ref, from ?? ''] : [ref, to, from ?? '0'.repeat(to.length)];
  // A detached commit moves no branch that is checked out meanwhile.
  const args = ['update-ref', ...(ref === 'HEAD' ? ['--no-deref'] : []), '-m', said, ...values];
  const { code, stderr } = await git.try(args, call);
  if (code === 0) return;
  const other = /'(refs\/[^']+)' exists; cannot create/.exec(stderr)?.[1];
  if (other !== undefined)
    throw invalid(`There can be no ${ref} beside ${other}`, 'Name another branch.', { directory: call.cwd, ref });
  throw isRaced(stderr) ? refMoved(call.cwd, ref) : gitFailure(args, call, stderr);
}

export function isRaced(words: string): boolean {
  return raced.test(words);
}

export function refMoved(directory: string, ref: string): OpencodeToolsError {
  return new OpencodeToolsError(
    'OCT_VERSION_CONFLICT',
    `${ref} moved, or is not what is checked out in ${directory} any more`,
    { remedy: 'Try again.', details: { directory, ref } },
  );
}
