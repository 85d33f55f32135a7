import type { TaskId } from '../domain/ids.ts';
import { asJson } from '../domain/json.ts';
import type { JsonValue } from '../domain/json.ts';
import type { EnvReference, NetworkSpec } from '../domain/sandbox-spec.ts';
import type { Task } from '../domain/task.ts';
import { conflictStrategies, leaseModes } from '../domain/task.ts';
import type { DirtyPolicy, WorkspaceSource, WorkspaceSpec } from '../domain/workspace-spec.ts';
import { dirtyPolicies } from '../domain/workspace-spec.ts';
import { allEnded } from './all-ended.ts';
import { idempotentFromStart } from './idempotent.ts';
import { type Kernel, draft } from './kernel.ts';
import { cacheNames } from './caches.ts';
import { assertRuntime } from './assert-runtime.ts';
import { assertWithinMaximum } from './change-sandbox.ts';
import { runHooks } from './run-hooks.ts';
import type { Call, CreateTask } from './services.ts';
import {
  environmentName,
  freeText,
  integerBetween,
  invalid,
  labels,
  oneLine,
  oneOf,
  resourceLimits,
  secretSource,
} from './validate.ts';

const volumePath = '/workspace';
/** What is asked before a task is there. */
const hookPoints = ['task:creating', 'workspace:seeding'] as const;
const noNetwork: NetworkSpec = { mode: 'fixed-none', rules: [] };

/** Checks everything, pins the image, freezes the source, and records the task in one transaction. */
export async function createTask(kernel: Kernel, input: CreateTask, call: Call): Promise<Task> {
  const checked = draftTask(kernel, input);
  assertWithinMaximum(kernel, input.limits ?? {});
  await assertTasksExist(kernel, [
    ...(input.parentId === undefined ? [] : [input.parentId]),
    ...(input.dependsOn ?? []),
  ]);
  return idempotentFromStart(kernel, call, 'create', asJson(input) as JsonValue, async (key) => {
    const who = { agent: input.agent ?? call.actor.agent ?? call.actor.id, model: input.model ?? call.actor.model };
    const seed = (task: Task) => seedWorkspace(kernel, task, input, who, call);
    // Hooks see a task with its image, and what they refuse is not looked at. Where there are none nothing has to wait.
    const early = hookPoints.some((point) => kernel.deps.hooks.listens(point)) ? undefined : seed(checked);
    const [imageId, begun] = await allEnded(pinImage(kernel, checked, call), early ?? Promise.resolve(undefined));
    const pinned = withImage(checked, imageId);
    const hooks = await runHooks(
      kernel,
      { point: 'task:creating', task: pinned, ...who, sessionId: null },
      { stream: 'home', call },
    );
    const seeded = begun ?? (await seed(pinned));
    const task = withImage(seeded.task, imageId);
    const summary = { taskId: task.id, title: task.title };
    await kernel.commit({
      records: [
        draft({
          stream: task.id,
          type: 'task.created',
          call,
          puts: [{ noun: 'task', value: task }],
          detail: { ...hooks, ...seeded.detail },
        }),
        draft({ stream: 'home', type: 'task.created', call, detail: summary }),
      ],
      ...key.finished(asJson(task)),
    });
    return task;
  });
}

async function pinImage(kernel: Kernel, { sandboxSpec }: Task, call: Call): Promise<string> {
  await assertRuntime(kernel, sandboxSpec.runtime);
  const options = call.signal === undefined ? {} : { signal: call.signal };
  return (await kernel.deps.images.ensure(sandboxSpec.image, options)).id;
}

function withImage(task: Task, imageId: string): Task {
  return { ...task, sandboxSpec: { ...task.sandboxSpec, imageId } };
}

/** In a process that stays: has the content of a task's volume made ready, so that its first command need not wait for all of it. */
export function readyWorkspace({ deps }: Kernel, { id, workspace }: Task): void {
  if (workspace.mode !== 'volume' || workspace.base === null) return;
  deps.workspaces
    .ready(workspace.base.id)
    .catch((error: unknown) =>
      deps.logger.warn('A workspace was not made ready', { taskId: id, error: String(error) }),
    );
}

/** Checks what the caller said and adds what it did not; the image is not looked for yet, nor the source frozen. */
export function draftTask(kernel: Kernel, input: CreateTask): Task {
  const { defaults, ids, homeId } = kernel.deps;
  const at = kernel.now();
  const leaseMode = oneOf('leaseMode', input.leaseMode ?? defaults.leaseMode, leaseModes);
  return {
    id: ids.next('task'),
    title: oneLine('title', input.title, 200),
    description: freeText('description', input.description ?? '', 20_000),
    status: 'pending',
    statusReason: null,
    leaseMode,
    maxAgents:
      leaseMode === 'exclusive' ? 1 : integerBetween('maxAgents', input.maxAgents ?? defaults.maxAgents, 1, 100),
    conflictStrategy: oneOf('conflictStrategy', input.conflictStrategy ?? 'reject', conflictStrategies),
    workspace: checkWorkspace(input.workspace ?? { kind: 'empty' }),
    sandboxSpec: {
      image: imageReference(input.image ?? defaults.image),
      imageId: null,
      limits: resourceLimits({ ...defaults.limits, ...input.limits }),
      network: checkNetwork(kernel, input.network ?? noNetwork),
      env: (input.env ?? []).map(checkEnv),
      user: defaults.user,
      readOnlyRoot: input.readOnlyRoot ?? false,
      ...(input.caches === undefined ? {} : { caches: cacheNames(kernel, input.caches) }),
      runtime: input.runtime === undefined ? null : oneLine('runtime', input.runtime, 100),
    },
    labels: labels(input.labels ?? {}),
    owner: input.owner === undefined ? null : oneLine('owner', input.owner, 200),
    project: input.project === undefined ? null : oneLine('project', input.project, 200),
    parentId: input.parentId ?? null,
    dependsOn: [...new Set(input.dependsOn ?? [])],
    forkedFrom: null,
    headCheckpointId: null,
    homeId,
    version: 1,
    createdAt: at,
    updatedAt: at,
    startedAt: null,
    endedAt: null,
  };
}

function checkWorkspace(workspace: NonNullable<CreateTask['workspace']>): WorkspaceSpec {
  if (workspace.kind === 'bind') return { mode: 'bind', path: absolute(workspace.path) };
  const source: WorkspaceSource =
    workspace.kind === 'empty'
      ? { kind: 'empty' }
      : workspace.kind === 'directory'
        ? { kind: 'directory', path: absolute(workspace.path) }
        : {
            kind: 'git',
            repository: absolute(workspace.path),
            ref: workspace.ref ?? null,
            commit: '',
            dirty: checkDirty(workspace.dirty),
          };
  return { mode: 'volume', path: volumePath, source, base: null };
}

function imageReference(value: string): string {
  const reference = oneLine('image', value, 500);
  if (/^[A-Za-z0-9][A-Za-z0-9._:/@-]*$/.test(reference)) return reference;
  throw invalid(
    'image',
    `${JSON.stringify(reference)} is no image reference`,
    'Give a name such as debian:bookworm, or an image id.',
  );
}

function checkDirty(dirty: DirtyPolicy | undefined): DirtyPolicy {
  return oneOf('dirty', dirty ?? 'refuse', dirtyPolicies);
}

function absolute(path: string): string {
  if (!path.startsWith('/') || path.includes('\0'))
    throw invalid(
      'workspace',
      `${JSON.stringify(path.slice(0, 200))} is not an absolute path`,
      'Give an absolute path on this host.',
    );
  return path;
}

function checkNetwork(kernel: Kernel, network: NetworkSpec): NetworkSpec {
  kernel.deps.egress.validate(network);
  return network;
}

function checkEnv(reference: EnvReference): EnvReference {
  environmentName(reference.name);
  secretSource('env', reference);
  return reference;
}

async function assertTasksExist(kernel: Kernel, ids: readonly TaskId[]): Promise<void> {
  for (const id of ids) await kernel.deps.tasks.getTask(id);
}

interface Seeded {
  readonly task: Task;
  readonly detail: Readonly<Record<string, JsonValue>>;
}

/** Freezes the source while the hooks of `workspace:seeding` may add to the copy; a bound directory is shown to them as it is. */
async function seedWorkspace(
  kernel: Kernel,
  task: Task,
  input: CreateTask,
  who: { readonly agent: string; readonly model: string | null },
  call: Call,
): Promise<Seeded> {
  const { workspaces, git, hooks } = kernel.deps;
  let detail: Readonly<Record<string, JsonValue>> = {};
  const prepare = async (directory: string): Promise<void> => {
    const context = { point: 'workspace:seeding', task, ...who, sessionId: null, directory } as const;
    detail = (await runHooks(kernel, context, { stream: 'home', call })) as Readonly<Record<string, JsonValue>>;
  };
  const { workspace } = task;
  if (workspace.mode === 'bind') {
    const { path, owner } = await workspaces.checkDirectory(workspace.path);
    await prepare(path);
    const sandboxSpec = { ...task.sandboxSpec, user: owner };
    return { task: { ...task, sandboxSpec, workspace: { mode: 'bind', path } }, detail };
  }
  if (workspace.source.kind === 'empty') return { task, detail };
  call.onProgress?.('freezing the source');
  const { source } = workspace;
  let pinned = source;
  const pin = async (given: typeof source & { readonly kind: 'git' }) => {
    const ref = input.workspace?.kind === 'git' ? input.workspace.ref : undefined;
    const found = await git.resolve(given.repository, ref);
    const { topDirectory: repository, commit, shallow } = found;
    pinned = { ...given, repository, commit, ...(shallow ? { shallow } : {}) };
    return found;
  };
  const base = await workspaces.seed({
    source,
    ...(source.kind === 'git' ? { pin: () => pin(source) } : {}),
    owner: task.sandboxSpec.user,
    ...(input.ready === true ? { ready: true } : {}),
    // A source that nothing is added to is known by itself, and need not be copied to be frozen.
    ...(hooks.listens('workspace:seeding') ? { prepare } : {}),
    ...(call.signal === undefined ? {} : { signal: call.signal }),
  });
  return { task: { ...task, workspace: { ...workspace, source: pinned, base } }, detail };
}
