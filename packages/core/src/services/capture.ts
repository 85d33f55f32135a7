import type { Checkpoint, RootRef, SnapshotRef } from '../domain/checkpoint.ts';
import type { LeftOut } from '../domain/left-out.ts';
import { type OperationId, shortId } from '../domain/ids.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { TreeRef } from '../ports/workspace-store.ts';
import type { SandboxHandle } from '../ports/sandbox-runtime.ts';
import { allEnded } from './all-ended.ts';
import { findBeginning } from './beginning-image.ts';
import type { Kernel } from './kernel.ts';
import { notIn } from './left-out-notice.ts';
import { lostWork } from './lost-work.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import { homeMount, objectLabels } from './sandbox-plan.ts';

/** Everything of a task that a checkpoint holds besides its record. */
export interface Captured {
  readonly workspace: SnapshotRef | null;
  readonly home: SnapshotRef | null;
  readonly root: RootRef | null;
}

/** What was captured, and what whoever asked has to be told: each in one sentence. */
interface Capture {
  readonly captured: Captured;
  /** True where a checkpoint would hold nothing that is not in an earlier one, since it is lost. */
  readonly isAllLost: boolean;
  /** What the engine has lost; among the warnings, too. */
  readonly losses: readonly string[];
  readonly warnings: readonly string[];
  /** The image that the task begins with from now on, where the engine has lost the one before. */
  readonly beginning?: string;
}

interface CaptureOptions {
  readonly signal: AbortSignal;
  /** True captures what there is in place of what is lost, with a warning; by default that is an error. */
  readonly whatIsLeft?: boolean | undefined;
}

interface CapturedTrees extends Pick<Captured, 'workspace' | 'home'> {
  /** True where the engine has lost something and nothing was left to freeze. */
  readonly isAllLost: boolean;
  /** What the engine has lost, each in one sentence; among the warnings, too. */
  readonly losses: readonly string[];
  readonly warnings: readonly string[];
}

interface CapturedRoot {
  readonly root: RootRef | null;
  readonly warnings: readonly string[];
  readonly beginning?: string;
}

/**
 * Freezes workspace, home directory and root file system as of one instant: the sandbox is paused meanwhile. What does not
 * exist yet, or no more, is captured as what it would be made from.
 *
 * @throws OpencodeToolsError `OCT_WORKSPACE_LOST` when the engine has lost a volume, or what it would be made from, or when nothing is left
 */
export async function captureTask(
  kernel: Kernel,
  keeper: SandboxKeeper,
  task: Task,
  operationId: OperationId,
  options: CaptureOptions,
): Promise<Capture> {
  const found = await keeper.find(task.id);
  if (found === undefined) {
    const sandbox = await kernel.deps.tasks.findSandbox(task.id);
    return join(await captureTrees(kernel, task, sandbox, options), await rootAtRest(kernel, task, sandbox));
  }
  const { handle, sandbox } = found;
  const freeze = async (ofRoot: () => Promise<CapturedRoot>): Promise<Capture> =>
    whilePaused(handle, async () => join(...(await allEnded(captureTrees(kernel, task, sandbox, options), ofRoot()))));
  if (await handle.rootIsUntouched()) {
    const captured = await freeze(async () => asMade(kernel, task, handle, operationId));
    // The inside cannot be asked while it is paused. What holds afterwards held meanwhile. Commands that came during the pause run now.
    if (await handle.rootIsUntouched({ insists: true })) return captured;
  }
  return freeze(async () => captureRoot(kernel, task, handle, operationId));
}

function join(
  { workspace, home, isAllLost, losses, warnings }: CapturedTrees,
  { root, warnings: ofRoot, ...began }: CapturedRoot,
): Capture {
  return {
    ...began,
    captured: { workspace, home, root },
    isAllLost: isAllLost && (root?.changedPaths ?? 0) === 0,
    losses,
    warnings: [...warnings, ...ofRoot],
  };
}

/** Tells whether a checkpoint already holds exactly what was captured. */
export function isCapturedBy(captured: Captured, checkpoint: Checkpoint | undefined): boolean {
  return (
    checkpoint !== undefined &&
    captured.workspace?.digest === checkpoint.workspace?.digest &&
    captured.home?.digest === checkpoint.home?.digest &&
    (captured.root === null || (captured.root.changedPaths === 0 && captured.root.imageId === checkpoint.root?.imageId))
  );
}

/** Those of a tree that has nothing but its top directory. */
const emptyEntries = 1;
export const rootImagePrefix = 'opencode-tools/root-';

/** The name under which a committed root file system is found by the operation that made it. */
export function rootImageTag(task: Task, operationId: OperationId): string {
  return `${rootImagePrefix}${shortId(task.id)}:${shortId(operationId)}`;
}

async function captureTrees(
  kernel: Kernel,
  task: Task,
  sandbox: Sandbox | undefined,
  { signal, whatIsLeft = false }: CaptureOptions,
): Promise<CapturedTrees> {
  const head = task.headCheckpointId === null ? undefined : await kernel.deps.checkpoints.find(task.headCheckpointId);
  let isMissing = false;
  const warnings: string[] = [];
  const lost: string[] = [];
  const losses: string[] = [];
  let alive = 0;
  const freeze = async (
    part: string,
    tree: TreeRef | null,
    instead: SnapshotRef | null,
    onLeftOut: (one: LeftOut) => void,
  ): Promise<SnapshotRef | null> => {
    try {
      if (tree !== null) {
        const frozen = await kernel.deps.workspaces.freeze(tree, { signal, onLeftOut });
        alive += 1;
        return frozen;
      }
    } catch (error) {
      if (isGone(tree, error)) isMissing = true;
      else if (!isOpencodeToolsError(error, 'OCT_WORKSPACE_LOST')) throw error;
      else if (!whatIsLeft) throw await lostWork(kernel, task, `the engine has not all of ${part} any more`, error);
      else lost.push(part);
    }
    const isLeft = instead === null || (await isThere(kernel, instead));
    if (!isLeft && !whatIsLeft)
      throw await lostWork(kernel, task, `${part} is gone, and so is what it would be made from`);
    if (!isLeft && !lost.includes(part)) lost.push(part);
    const kept = isLeft && instead !== null ? 'has it as of the last one' : 'has nothing of it';
    if (lost.includes(part)) losses.push(`The engine has lost ${part}; the checkpoint ${kept}`);
    return isLeft ? instead : null;
  };
  const base = task.workspace.mode === 'volume' ? task.workspace.base : null;
  const [workspaceTree, homeTree] = await allEnded(
    findWorkspace(kernel, task, sandbox),
    existingTree(kernel, sandbox?.homeVolume),
  );
  const [workspace, home] = await allEnded(
    freeze('the workspace', workspaceTree, head?.workspace ?? base, (one) =>
      warnings.push(notIn('the checkpoint', one, 'the workspace')),
    ),
    // Programs keep sockets in a home directory, which nobody misses.
    freeze('the home directory', homeTree, head?.home ?? null, (one) => {
      if (one.kind === 'deep') warnings.push(notIn('the checkpoint', one, 'the home directory'));
    }),
  );
  const missing = warningOf(task, head?.workspace ?? null, isMissing ? null : workspace);
  const isAllLost = lost.length > 0 && alive === 0;
  return {
    workspace,
    home,
    isAllLost,
    losses,
    warnings: [...(missing === null ? [] : [missing]), ...losses, ...warnings],
  };
}

async function isThere({ deps }: Kernel, { id }: SnapshotRef): Promise<boolean> {
  return !(await deps.workspaces.missing({ snapshotIds: [id], volumes: [] })).snapshots.has(id);
}

/**
 * A disk that is not mounted looks like a directory that was removed or emptied, and nobody can tell one from the other. What lies on it is
 * not in the checkpoint.
 *
 * @param now null when there is no directory
 */
function warningOf({ workspace }: Task, before: SnapshotRef | null, now: SnapshotRef | null): string | null {
  if (workspace.mode !== 'bind') return null;
  const advice = 'If it lies on a disk that is not mounted, mount that and take another.';
  if (now === null) {
    const kept = before === null ? 'The checkpoint has nothing of it.' : 'The checkpoint has it as of the last one.';
    return `${workspace.path} is not there. ${kept} ${advice}`;
  }
  if (now.entries > emptyEntries || before === null || before.entries <= emptyEntries) return null;
  return `${workspace.path} is empty, which had ${before.entries} entries at the last checkpoint. ${advice}`;
}

/** The user has removed the directory, or put a file in its place; a mount of it may still show an empty one inside. */
function isGone(tree: TreeRef | null, error: unknown): boolean {
  if (tree?.kind !== 'directory' || !isOpencodeToolsError(error, 'OCT_INVALID_ARGUMENT')) return false;
  const { errno = 'ENOTDIR', path } = error.details;
  return path === tree.path && (errno === 'ENOENT' || errno === 'ENOTDIR');
}

async function findWorkspace(kernel: Kernel, task: Task, sandbox: Sandbox | undefined): Promise<TreeRef | null> {
  if (task.workspace.mode === 'bind') return { kind: 'directory', path: task.workspace.path };
  return existingTree(kernel, sandbox?.workspaceVolume);
}

async function existingTree(kernel: Kernel, volume: string | null | undefined): Promise<TreeRef | null> {
  const exists = volume != null && (await kernel.deps.runtime.volumes.find(volume)) !== undefined;
  return exists ? { kind: 'volume', volume } : null;
}

/**
 * A root file system without a container. Of one whose image is gone nothing is left: the task goes on from the image that it began
 * with, or, when that is gone as well, from the one that its name leads to.
 */
async function rootAtRest(kernel: Kernel, task: Task, sandbox: Sandbox | undefined): Promise<CapturedRoot> {
  const { checkpoints, images } = kernel.deps;
  const head = task.headCheckpointId === null ? undefined : await checkpoints.find(task.headCheckpointId);
  const began = task.sandboxSpec.imageId;
  const imageId = sandbox?.imageId ?? head?.root?.imageId ?? began;
  if (imageId === null) return { root: null, warnings: [] };
  if ((await images.find(imageId)) !== undefined)
    return { root: { baseImageId: imageId, imageId, changedPaths: 0 }, warnings: [] };
  const { imageId: beginning, warning } = await findBeginning(kernel, task.sandboxSpec);
  const lost = `What was installed is lost: the image of the root file system is gone from the engine: ${imageId}.`;
  const goesOn = warning ?? 'The task goes on from the image that it began with';
  const warnings = [imageId === began ? goesOn : `${lost} ${goesOn}`];
  if (beginning === null) return { root: null, warnings };
  const root = { baseImageId: beginning, imageId: beginning, changedPaths: 0 };
  return { root, warnings, ...(beginning === began ? {} : { beginning }) };
}

/** Commits the root file system only when something in it changed since its container was made. */
async function captureRoot(
  kernel: Kernel,
  task: Task,
  handle: SandboxHandle,
  operationId: OperationId,
): Promise<CapturedRoot> {
  const changes = (await handle.rootChanges()).filter(({ path }) => path !== homeMount && path !== task.workspace.path);
  if (changes.length === 0) return asMade(kernel, task, handle, operationId);
  return { root: await commitRoot(kernel, task, handle, operationId, changes.length), warnings: [] };
}

/** An image that was saved before and is gone is saved once more, as long as a container of it stands. */
async function asMade(
  kernel: Kernel,
  task: Task,
  handle: SandboxHandle,
  operationId: OperationId,
): Promise<CapturedRoot> {
  const { imageId } = await handle.inspect();
  const isThere = imageId === task.sandboxSpec.imageId || (await kernel.deps.images.find(imageId)) !== undefined;
  const made = { baseImageId: imageId, imageId, changedPaths: 0 };
  return { root: isThere ? made : await commitRoot(kernel, task, handle, operationId, 0), warnings: [] };
}

async function commitRoot(
  kernel: Kernel,
  task: Task,
  handle: SandboxHandle,
  operationId: OperationId,
  changedPaths: number,
): Promise<RootRef> {
  const labels = objectLabels(kernel.deps.homeId, task, operationId, 'root');
  const { imageId } = await handle.inspect();
  const committed = await handle.snapshotRoot({ tag: rootImageTag(task, operationId), labels });
  return { baseImageId: imageId, imageId: committed.imageId, changedPaths };
}

async function whilePaused<T>(handle: SandboxHandle, work: () => Promise<T>): Promise<T> {
  const { state } = await handle.inspect();
  if (state !== 'running') return work();
  await handle.pause();
  try {
    const result = await work();
    if ((await handle.inspect()).state !== 'paused') throw woken();
    return result;
  } finally {
    await handle.unpause();
  }
}

function woken(): OpencodeToolsError {
  return new OpencodeToolsError('OCT_VERSION_CONFLICT', 'The sandbox was resumed while it was being frozen', {
    remedy: 'Take the checkpoint again.',
  });
}
