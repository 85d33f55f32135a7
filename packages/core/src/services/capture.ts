import type { RootRef, SnapshotRef } from '../domain/checkpoint.ts';
import type { Checkpoint } from '../domain/checkpoint.ts';
import { shortId } from '../domain/ids.ts';
import type { OperationId } from '../domain/ids.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { Task } from '../domain/task.ts';
import type { SandboxHandle } from '../ports/sandbox-runtime.ts';
import type { Kernel } from './kernel.ts';
import { objectLabels, homeMount } from './sandbox-plan.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';

/** Everything of a task that a checkpoint holds besides its record. */
export interface Captured {
  readonly workspace: SnapshotRef | null;
  readonly home: SnapshotRef | null;
  readonly root: RootRef | null;
}

/**
 * Freezes workspace, home directory and root file system as of one instant: the sandbox is paused meanwhile. A task whose
 * sandbox was never made is captured as what it would start from.
 */
export async function captureTask(
  kernel: Kernel,
  keeper: SandboxKeeper,
  task: Task,
  operationId: OperationId,
  signal: AbortSignal,
): Promise<Captured> {
  const found = await keeper.find(task.id);
  if (found === undefined) return captureAtRest(kernel, task, signal);
  return whilePaused(found.handle, async () => ({
    root: await captureRoot(kernel, task, found.sandbox, found.handle, operationId),
    ...(await captureTrees(kernel, task, found.sandbox, signal)),
  }));
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

async function captureAtRest(kernel: Kernel, task: Task, signal: AbortSignal): Promise<Captured> {
  const sandbox = await kernel.deps.tasks.findSandbox(task.id);
  const imageId = sandbox?.imageId ?? task.sandboxSpec.imageId;
  const root = imageId === null ? null : { baseImageId: imageId, imageId, changedPaths: 0 };
  if (sandbox?.homeVolume != null && (await kernel.deps.runtime.volumes.find(sandbox.homeVolume)) !== undefined) {
    return { root, ...(await captureTrees(kernel, task, sandbox, signal)) };
  }
  const head = task.headCheckpointId === null ? undefined : await kernel.deps.checkpoints.find(task.headCheckpointId);
  if (head !== undefined) return { workspace: head.workspace, home: head.home, root: head.root ?? root };
  if (task.workspace.mode === 'bind') {
    return {
      workspace: await kernel.deps.workspaces.freeze({ kind: 'directory', path: task.workspace.path }, { signal }),
      home: null,
      root,
    };
  }
  return { workspace: task.workspace.base, home: null, root };
}

async function captureTrees(
  kernel: Kernel,
  task: Task,
  sandbox: Sandbox,
  signal: AbortSignal,
): Promise<Pick<Captured, 'workspace' | 'home'>> {
  const { workspaces } = kernel.deps;
  const workspace =
    sandbox.workspaceVolume === null
      ? await workspaces.freeze({ kind: 'directory', path: task.workspace.path }, { signal })
      : await workspaces.freeze({ kind: 'volume', volume: sandbox.workspaceVolume }, { signal });
  const home =
    sandbox.homeVolume === null
      ? null
      : await workspaces.freeze({ kind: 'volume', volume: sandbox.homeVolume }, { signal });
  return { workspace, home };
}

/** Commits the root file system only when something in it changed. */
async function captureRoot(
  kernel: Kernel,
  task: Task,
  sandbox: Sandbox,
  handle: SandboxHandle,
  operationId: OperationId,
): Promise<RootRef> {
  const { imageId } = sandbox;
  const changes = (await handle.rootChanges()).filter(({ path }) => path !== homeMount && path !== task.workspace.path);
  if (changes.length === 0) return { baseImageId: imageId, imageId, changedPaths: 0 };
  const committed = await handle.snapshotRoot({
    tag: rootImageTag(task, operationId),
    labels: objectLabels(kernel.deps.homeId, task, operationId, 'root'),
  });
  return { baseImageId: imageId, imageId: committed.imageId, changedPaths: changes.length };
}

/** The name under which a committed root file system is found by the operation that made it. */
export function rootImageTag(task: Task, operationId: OperationId): string {
  return `opencode-tools/root-${shortId(task.id)}:${shortId(operationId)}`;
}

async function whilePaused<T>(handle: SandboxHandle, work: () => Promise<T>): Promise<T> {
  const { state } = await handle.inspect();
  if (state !== 'running') return work();
  await handle.pause();
  try {
    return await work();
  } finally {
    await handle.unpause();
  }
}
