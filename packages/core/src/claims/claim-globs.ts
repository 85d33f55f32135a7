import type { Task } from '../domain/task.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { ClaimRequest } from './claim.ts';
import { createGlob } from './glob.ts';
import { badGlob, outsideWorkspace } from './glob-error.ts';

const maxGlobs = 32;
/** Comparing two claims costs at most the product of their lengths. */
const maxCharacters = 2_048;

/** A request in normal form. */
export interface ClaimGlobs {
  readonly read: readonly string[];
  readonly write: readonly string[];
}

/**
 * Checks what a session asks for and brings it into normal form. Absolute globs are accepted inside the workspace of the task.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT`, `OCT_PATH_OUTSIDE_WORKSPACE`
 */
export function claimGlobs(task: Pick<Task, 'workspace'>, request: ClaimRequest): ClaimGlobs {
  const normal = (globs: readonly string[] = []): readonly string[] => [
    ...new Set(globs.map((glob) => createGlob(relative(task, glob)).text)),
  ];
  const globs = { read: normal(request.read), write: normal(request.write) };
  const all = [...globs.read, ...globs.write];
  if (all.length === 0) throw tooMany('names no path', 'Give at least one glob to read or write.');
  if (globs.read.length > maxGlobs || globs.write.length > maxGlobs)
    throw tooMany(`has ${all.length} globs`, `Give at most ${maxGlobs} globs to read and ${maxGlobs} to write.`);
  const characters = all.reduce((sum, glob) => sum + glob.length, 0);
  if (characters > maxCharacters)
    throw tooMany(
      `has ${characters} characters`,
      `Use at most ${maxCharacters} characters; claim directories, not files.`,
    );
  return globs;
}

function relative({ workspace }: Pick<Task, 'workspace'>, glob: string): string {
  if (typeof glob !== 'string') throw badGlob(String(glob), 'is no text', 'Give a glob as text.');
  if (!glob.startsWith('/')) return glob;
  if (glob === workspace.path || glob === `${workspace.path}/`) return '**';
  if (glob.startsWith(`${workspace.path}/`)) return glob.slice(workspace.path.length + 1);
  throw outsideWorkspace(glob, `is outside ${workspace.path}`);
}

function tooMany(fact: string, remedy: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `claims: ${fact}`, { remedy, details: { argument: 'claims' } });
}
