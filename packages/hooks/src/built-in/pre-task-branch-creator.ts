import { realpath } from 'node:fs/promises';
import {
  type GitPort,
  type HookContext,
  type RepositoryState,
  isOpencodeToolsError,
  shortId,
} from '@opencode-tools/core';
import { HookRejection } from '../hook-rejection.ts';
import type { Hook } from '../hook.ts';
import { slug } from '../slug.ts';

const longestPrefixPart = 40;
const longestDescription = 60;
const mostAttempts = 1_000;

/**
 * Makes a branch of its own for each task that starts from a git repository: `<agent>-<model>/<description>`, or
 * `<agent>/<description>` when no model is known. Existing branches are never touched; a taken name gets `-2`, `-3`, ….
 */
export function preTaskBranchCreator(): Hook {
  return { name: 'pre-task-branch-creator', points: ['workspace:seeding'], order: 10, run: createTaskBranch };
}

const createTaskBranch: Hook['run'] = async (context, { git, signal }) => {
  const { directory } = context;
  if (directory === undefined) return 'skipped: no directory to seed';
  if (git === null) return 'skipped: git is not available';
  const repository = await findRepository(git, directory);
  if (typeof repository === 'string') return `skipped: ${repository}`;
  const prefix = branchPrefix(context);
  const description = slug(context.task.title, longestDescription) || `task-${shortId(context.task.id)}`;
  let branches = await git.listBranches(directory);
  for (let attempt = 0; attempt < 3; attempt += 1) {
    signal.throwIfAborted();
    const branch = freeBranch(prefix, description, branches);
    if (!(await git.isBranchName(branch))) throw refused(branch);
    const failure = await tryCreate(git, directory, branch);
    if (failure === null) return `created branch ${branch} at ${repository.commit.slice(0, 12)}`;
    branches = await git.listBranches(directory);
    if (!branches.includes(branch)) throw failure;
  }
  throw new HookRejection('Another process keeps creating branches of the same name.', 'Create the task again.');
};

async function findRepository(git: GitPort, directory: string): Promise<RepositoryState | string> {
  try {
    const state = await git.inspect(directory);
    if (state.topDirectory === (await realpath(directory))) return state;
    return 'the directory is not the top of its git repository';
  } catch (error) {
    // One that a sandbox could have written is left alone, and its directory may be worked in.
    if (isOpencodeToolsError(error, 'OCT_POLICY_DENIED')) return error.message;
    if (isOpencodeToolsError(error, 'OCT_INVALID_ARGUMENT')) return `no git repository to branch in (${error.message})`;
    throw error;
  }
}

function branchPrefix({ agent, model }: HookContext): string {
  const agentSlug = slug(agent, longestPrefixPart) || 'agent';
  const modelSlug = slug(model?.split('/').at(-1) ?? '', longestPrefixPart);
  return modelSlug === '' ? agentSlug : `${agentSlug}-${modelSlug}`;
}

/** Finds the first name that is neither a branch, nor above nor below one; letter case does not tell names apart. */
function freeBranch(prefix: string, description: string, branches: readonly string[]): string {
  const taken = branches.map((branch) => branch.toLowerCase());
  const stem = firstFree(prefix, (name) => !taken.includes(name));
  return firstFree(
    `${stem}/${description}`,
    (name) => !taken.some((branch) => branch === name || branch.startsWith(`${name}/`)),
  );
}

function firstFree(name: string, isFree: (name: string) => boolean): string {
  if (isFree(name)) return name;
  for (let count = 2; count < mostAttempts; count += 1) {
    if (isFree(`${name}-${count}`)) return `${name}-${count}`;
  }
  throw new HookRejection(
    `There are ${mostAttempts} branches named like ${name}.`,
    'Delete branches you no longer need.',
  );
}

async function tryCreate(git: GitPort, directory: string, branch: string): Promise<Error | null> {
  try {
    await git.createBranch(directory, branch);
    return null;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function refused(branch: string): HookRejection {
  return new HookRejection(
    `Git does not accept ${branch} as a branch name.`,
    'Use letters and digits in title and agent name.',
  );
}
