import type { Claim, OutsideClaims } from '../claims/claim.ts';
import { pathsOutside } from '../claims/outside-claims.ts';
import type { Execution } from '../domain/execution.ts';
import type { ExecutionId, OperationId, SessionId, TaskId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import { asOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { RecordDraft } from '../ledger/ledger-record.ts';
import type { SandboxHandle } from '../ports/sandbox-runtime.ts';
import type { TreeRef } from '../ports/workspace-store.ts';
import { type Kernel, draft } from './kernel.ts';
import { type TreeListing, changedPaths, listTree } from './list-tree.ts';
import type { Call } from './services.ts';
import { sessionsAlongside } from './sessions-alongside.ts';
import type { LeasedWork } from './with-lease.ts';

/** So many paths are told of those that are outside. */
export const mostClaimPaths = 100;

/** The workspace as it was before an execution, to be compared with what it is afterwards. */
export interface ClaimWatch {
  finish(
    execution: Execution,
    call: Call,
  ): Promise<{ readonly outside: OutsideClaims; readonly records: readonly RecordDraft[] }>;
}

type View =
  | { readonly kind: 'listing'; readonly listing: TreeListing }
  | { readonly kind: 'snapshot'; readonly id: string }
  | { readonly kind: 'unknown'; readonly reason: string };

/** Null when nobody claims anything on the task: then nothing is compared and nothing costs. */
export async function watchClaims(
  kernel: Kernel,
  handle: SandboxHandle,
  task: Task,
  leased: LeasedWork,
): Promise<ClaimWatch | null> {
  const atStart = await activeClaims(kernel, task);
  if (atStart.length === 0) return null;
  const look = (): Promise<View> => viewOf(kernel, handle, task, leased.proof.token);
  const before = await look();
  return {
    finish: async (execution, call) => {
      const outside = await compare(kernel, { task, execution, atStart, before, after: await look() });
      const { id: executionId, taskId, sessionId, operationId } = execution;
      const records = claimRecords(outside, { taskId, sessionId, operationId, executionId }, leased, call);
      return { outside, records };
    },
  };
}

interface Comparison {
  readonly task: Task;
  readonly execution: Execution;
  readonly atStart: readonly Claim[];
  readonly before: View;
  readonly after: View;
}

async function compare(
  kernel: Kernel,
  { task, execution, atStart, before, after }: Comparison,
): Promise<OutsideClaims> {
  try {
    const changed = await changesBetween(kernel, before, after);
    if (changed.length === 0) return { checked: true, reason: null, paths: [], total: 0, uncertain: false };
    const { sessionId } = execution;
    const alongside = await sessionsAlongside(kernel, execution);
    const claims = [...atStart, ...(await activeClaims(kernel, task))];
    const outside = pathsOutside(changed, { sessionId, claims, alongside });
    const uncertain = outside.length > 0 && alongside.size > 0;
    return { checked: true, reason: null, paths: outside.slice(0, mostClaimPaths), total: outside.length, uncertain };
  } catch (error) {
    return unchecked(asOpencodeToolsError(error).message);
  }
}

function unchecked(reason: string): OutsideClaims {
  return { checked: false, reason, paths: [], total: 0, uncertain: false };
}

/** What changed, and by what: an execution, or an operation of ours. */
interface ClaimSubject {
  readonly taskId: TaskId;
  readonly sessionId: SessionId;
  readonly operationId: OperationId;
  readonly executionId?: ExecutionId;
}

/** Says what was changed outside the claims; nothing when nothing was. */
export function claimRecords(
  outside: OutsideClaims,
  subject: ClaimSubject,
  leased: LeasedWork,
  call: Call,
): readonly RecordDraft[] {
  if (outside.checked && outside.total === 0) return [];
  const type = outside.checked ? 'claim.violated' : 'claim.unchecked';
  const { taskId: stream, operationId, ...who } = subject;
  const { paths, total, uncertain, reason } = outside;
  const detail = outside.checked ? { paths, total, uncertain } : { reason };
  return [draft({ stream, type, call, proof: leased.proof, operationId, detail: { ...who, ...detail } })];
}

export async function activeClaims(kernel: Kernel, task: Task): Promise<readonly Claim[]> {
  return (await kernel.deps.tasks.listClaims(task.id)).active.map(({ claim }) => claim);
}

/** From inside where the image can list its files; otherwise by freezing the whole tree, which reads every byte of it. */
async function viewOf(kernel: Kernel, handle: SandboxHandle, task: Task, token: number): Promise<View> {
  try {
    const listing = await listTree(kernel, handle, task, token);
    if (listing !== undefined) return { kind: 'listing', listing };
    const tree = await workspaceTree(kernel, task);
    if (tree === undefined) return { kind: 'unknown', reason: 'The workspace has no tree of its own' };
    return { kind: 'snapshot', id: (await kernel.deps.workspaces.freeze(tree)).id };
  } catch (error) {
    return { kind: 'unknown', reason: asOpencodeToolsError(error).message };
  }
}

async function workspaceTree(kernel: Kernel, task: Task): Promise<TreeRef | undefined> {
  if (task.workspace.mode === 'bind') return { kind: 'directory', path: task.workspace.path };
  const volume = (await kernel.deps.tasks.findSandbox(task.id))?.workspaceVolume;
  return volume == null ? undefined : { kind: 'volume', volume };
}

async function changesBetween(kernel: Kernel, before: View, after: View): Promise<readonly string[]> {
  if (before.kind === 'listing' && after.kind === 'listing') return changedPaths(before.listing, after.listing);
  if (before.kind === 'snapshot' && after.kind === 'snapshot')
    return (await kernel.deps.workspaces.diff(before.id, after.id)).map(({ path }) => path);
  const reason = [before, after].find((view) => view.kind === 'unknown')?.reason;
  throw new Error(reason ?? 'The workspace could not be looked at in the same way twice');
}
