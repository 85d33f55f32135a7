import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';

/**
 * How far an agent may bring a task's work out of its sandbox by itself. `review`: it may look, and see what would happen. `branch`:
 * it may also make, and move forward, branches of ours. `directory`: also the directory that the task came from and its branches.
 */
export const agentWorkScopes = ['review', 'branch', 'directory'] as const;
export type AgentWorkScope = (typeof agentWorkScopes)[number];

/** Branches that are for the work of tasks begin so. */
export const workBranchPrefix = 'opencode-tools/';

/** What an agent asks to be written on the host; the branch is the task's own by default. */
export type AgentWork =
  | { readonly verb: 'apply' | 'commit' }
  | { readonly verb: 'merge'; readonly branch?: string | undefined; readonly into?: string | undefined };

/** @throws OpencodeToolsError `OCT_POLICY_DENIED`, with who can change that */
export function assertAgentWork(scope: AgentWorkScope, work: AgentWork): void {
  const needed = scopeOf(work);
  if (agentWorkScopes.indexOf(scope) >= agentWorkScopes.indexOf(needed)) return;
  const what = needed === 'branch' ? 'a branch' : 'the directory and branches that a task came from';
  const lesser = scope === 'branch' && work.verb !== 'commit' ? ` A branch named ${workBranchPrefix}… is allowed.` : '';
  throw new OpencodeToolsError('OCT_POLICY_DENIED', `Agents may not bring work into ${what}: agents.work is ${scope}`, {
    remedy: `Ask the user to run \`opencode-tools ${work.verb}\`, or to set \`agents.work: ${needed}\`.${lesser}`,
    details: { key: 'agents.work', value: scope },
  });
}

function scopeOf(work: AgentWork): AgentWorkScope {
  if (work.verb !== 'merge' || work.into !== undefined) return 'directory';
  return work.branch === undefined || work.branch.startsWith(workBranchPrefix) ? 'branch' : 'directory';
}
