import type { SnapshotRef } from '../domain/checkpoint.ts';
import { type HomeId, type OperationId, type TaskId, shortId } from '../domain/ids.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { Task } from '../domain/task.ts';
import type { Fence, SandboxMount, SandboxPlan } from '../ports/sandbox-runtime.ts';

export const homeMount = '/home/agent';

/** What a sandbox starts from: an image, and the trees that fill volumes that do not exist yet. */
export interface StartingPoint {
  readonly imageId: string;
  readonly workspace: SnapshotRef | null;
  readonly home: SnapshotRef | null;
}

export interface PlanFacts {
  readonly homeId: HomeId;
  readonly task: Task;
  readonly operationId: OperationId;
  readonly generation: number;
  readonly imageId: string;
  readonly workspaceVolume: string | null;
  readonly homeVolume: string;
  /** Volumes among these that the runtime makes, empty, with the container. */
  readonly emptyVolumes: ReadonlySet<string>;
  readonly fence: Fence;
  /** Volumes that several tasks have. */
  readonly caches?: readonly SandboxMount[];
}

/** Decides the whole sandbox from facts; nothing is asked of the engine here. */
export function planSandbox(facts: PlanFacts): SandboxPlan {
  const { task } = facts;
  const spec = task.sandboxSpec;
  return {
    name: engineName(facts.task, facts.generation, facts.operationId),
    homeId: facts.homeId,
    taskId: task.id,
    operationId: facts.operationId,
    generation: facts.generation,
    imageId: facts.imageId,
    user: spec.user,
    limits: spec.limits,
    networkMode: spec.network.mode,
    mounts: [workspaceMount(facts), volumeMount(facts, 'home', facts.homeVolume, homeMount), ...(facts.caches ?? [])],
    workingDirectory: task.workspace.path,
    readOnlyRoot: spec.readOnlyRoot,
    runtime: spec.runtime,
    fence: facts.fence,
  };
}

/** Names of containers and volumes hold the operation, so that none is ever used twice. */
export function engineName(task: Task, generation: number, operationId: OperationId): string {
  return `oct-${shortId(task.id)}-${generation}-${shortId(operationId)}`;
}

export function volumeNames(
  task: Task,
  generation: number,
  operationId: OperationId,
): { readonly workspace: string | null; readonly home: string } {
  const name = engineName(task, generation, operationId);
  return { workspace: task.workspace.mode === 'volume' ? `${name}-workspace` : null, home: `${name}-home` };
}

/** Labels by which every engine object of a task is found. */
export function objectLabels(
  homeId: HomeId,
  task: Task,
  operationId: OperationId,
  kind: string,
): Readonly<Record<string, string>> {
  return sandboxLabels(homeId, task.id, operationId, kind);
}

/** As `objectLabels`, also for what is made before it is known whose it will be. */
export function sandboxLabels(
  homeId: HomeId,
  taskId: TaskId | null,
  operationId: OperationId,
  kind: string,
): Readonly<Record<string, string>> {
  return {
    'io.opencode-tools.home': homeId,
    'io.opencode-tools.task': taskId ?? '',
    'io.opencode-tools.operation': operationId,
    'io.opencode-tools.kind': kind,
  };
}

/** The row of a sandbox that is about to be made. */
export function sandboxRow(facts: PlanFacts, runtime: string, at: string): Sandbox {
  return {
    taskId: facts.task.id,
    generation: facts.generation,
    state: 'creating',
    runtime,
    ref: null,
    imageId: facts.imageId,
    workspaceVolume: facts.workspaceVolume,
    homeVolume: facts.homeVolume,
    operationId: facts.operationId,
    createdAt: at,
    updatedAt: at,
  };
}

function workspaceMount(facts: PlanFacts): SandboxMount {
  const { workspace } = facts.task;
  return workspace.mode === 'bind' || facts.workspaceVolume === null
    ? { kind: 'bind', source: workspace.path, target: workspace.path, readOnly: false }
    : volumeMount(facts, 'workspace', facts.workspaceVolume, workspace.path);
}

function volumeMount(facts: PlanFacts, kind: string, volume: string, target: string): SandboxMount {
  const mount = { kind: 'volume', volume, target, readOnly: false } as const;
  if (!facts.emptyVolumes.has(volume)) return mount;
  return { ...mount, create: objectLabels(facts.homeId, facts.task, facts.operationId, kind) };
}
