import type { Checkpoint } from '../../domain/checkpoint.ts';
import { type OperationId, type TaskId, isId, parseId } from '../../domain/ids.ts';
import type { Operation } from '../../domain/operation.ts';
import type { PooledSandbox } from '../../domain/pooled-sandbox.ts';
import type { Sandbox } from '../../domain/sandbox.ts';
import type { Receipt } from '../../domain/task.ts';
import { cacheKind } from '../caches.ts';
import type { Kernel } from '../kernel.ts';

/** A helper is a container and a view a volume that serves for the time of one call. */
const engineObjectKinds = ['container', 'volume', 'network', 'image', 'helper', 'view'] as const;

/** Something on the engine that carries our home's label. */
export interface EngineObject {
  readonly kind: (typeof engineObjectKinds)[number];
  readonly name: string;
  /** What the engine removes it by. */
  readonly ref: string;
  readonly taskId: TaskId | null;
  readonly operationId: OperationId | null;
  readonly createdAt: string;
  /** Of a helper that has done what it was made for. */
  readonly endedAt?: string | null;
}

/** What registry, engine and disk say of one home at about the same time. */
export interface ReapFacts {
  readonly nowMs: number;
  readonly graceMs: number;
  /** Why nothing may be removed whatever the evidence; null when it may. */
  readonly untrusted: string | null;
  readonly objects: readonly EngineObject[];
  readonly sandboxes: readonly Sandbox[];
  readonly pooled: readonly PooledSandbox[];
  readonly openOperations: readonly Operation[];
  /** Operations that objects, rows and claims name. */
  readonly operations: ReadonlyMap<string, Operation>;
  readonly receipts: ReadonlyMap<string, Receipt>;
  readonly checkpoints: readonly Checkpoint[];
  /** Tasks with files on disk that neither a row nor a receipt knows. */
  readonly unknownMemory: readonly TaskId[];
  readonly isAlive: (entry: PooledSandbox) => boolean;
}

const prefix = 'io.opencode-tools.';

/** Reads the engine first and the registry second: what is made meanwhile has a row by then, or an operation that is open. */
export async function gatherFacts(
  kernel: Kernel,
  options: { readonly graceMs: number; readonly untrusted: string | null },
): Promise<ReapFacts> {
  const { tasks, housekeeping, processes, clock } = kernel.deps;
  const objects = [...(await listObjects(kernel)), ...(await strayNetworks(kernel))];
  const [sandboxes, pooled, openOperations] = await Promise.all([
    tasks.listSandboxes(),
    housekeeping.listPooled(),
    tasks.listOpenOperations(),
  ]);
  const named = new Set(
    [
      ...objects.map(({ operationId }) => operationId),
      ...sandboxes.map(({ operationId }) => operationId),
      ...pooled.map(({ claim }) => claim?.operationId ?? null),
    ].filter((id) => id !== null),
  );
  const owners = new Set(
    [...objects.map(({ taskId }) => taskId), ...pooled.map(({ claim }) => claim?.taskId ?? null)].filter(
      (id) => id !== null,
    ),
  );
  return {
    ...options,
    nowMs: clock.nowMs(),
    objects,
    sandboxes,
    pooled,
    openOperations,
    operations: await collect(named, async (id) => tasks.findOperation(id)),
    receipts: await collect(owners, async (id) => tasks.findReceipt(id)),
    // A fork's checkpoint names the image that the first task made.
    checkpoints: objects.some(({ kind }) => kind === 'image') ? await kernel.deps.checkpoints.listAll() : [],
    unknownMemory: await unknownMemory(kernel),
    isAlive: ({ owner }) => processes.isAlive(owner),
  };
}

async function unknownMemory(kernel: Kernel): Promise<readonly TaskId[]> {
  const { memory, tasks } = kernel.deps;
  const unknown: TaskId[] = [];
  for (const id of await memory.list()) {
    if ((await tasks.findTask(id)) === undefined && (await tasks.findReceipt(id)) === undefined) unknown.push(id);
  }
  return unknown;
}

/** Networks of tasks that have no row; those of others may be in use, and go with their sandbox. */
async function strayNetworks({ deps: { egress, tasks } }: Kernel): Promise<readonly EngineObject[]> {
  const stray: EngineObject[] = [];
  for (const { kind, name, ref, taskId, createdAt } of await egress.list()) {
    if (kind !== 'network' || (taskId !== null && (await tasks.findTask(taskId)) !== undefined)) continue;
    stray.push({ kind, name, ref, taskId, operationId: null, createdAt });
  }
  return stray;
}

async function listObjects(kernel: Kernel): Promise<readonly EngineObject[]> {
  const { runtime, images, homeId } = kernel.deps;
  const home = { [`${prefix}home`]: homeId };
  const [containers, volumes, helpers, roots] = await Promise.all([
    runtime.list({ homeId }),
    runtime.volumes
      .list(home)
      .then((all) => all.filter(({ labels }) => !['layers', cacheKind].includes(labels[`${prefix}kind`] ?? ''))),
    runtime.listHelpers({ homeId }),
    images.list({ labels: { ...home, [`${prefix}kind`]: 'root' } }),
  ]);
  return [
    ...containers.map(({ name, ref, taskId, operationId, createdAt }) => {
      return { kind: 'container', name, ref, taskId, operationId, createdAt } as const;
    }),
    ...volumes.map(({ name, labels, createdAt }) => {
      const kind = labels[`${prefix}kind`] === 'layer-view' ? 'view' : 'volume';
      return { kind, name, ref: name, createdAt, ...ownerIn(labels) } as const;
    }),
    ...helpers.map(({ name, ref, createdAt, endedAt }) => {
      return { kind: 'helper', name, ref, createdAt, endedAt, taskId: null, operationId: null } as const;
    }),
    ...roots.map(({ id, references, labels, createdAt }) => {
      return { kind: 'image', name: references[0] ?? id, ref: id, createdAt, ...ownerIn(labels) } as const;
    }),
  ];
}

function ownerIn(labels: Readonly<Record<string, string>>): Pick<EngineObject, 'taskId' | 'operationId'> {
  const task = labels[`${prefix}task`] ?? '';
  const operation = labels[`${prefix}operation`] ?? '';
  return {
    taskId: isId('task', task) ? parseId('task', task) : null,
    operationId: isId('operation', operation) ? parseId('operation', operation) : null,
  };
}

async function collect<K extends string, V>(
  keys: ReadonlySet<K>,
  find: (key: K) => Promise<V | undefined>,
): Promise<ReadonlyMap<string, V>> {
  const found = new Map<string, V>();
  for (const key of keys) {
    const value = await find(key);
    if (value !== undefined) found.set(key, value);
  }
  return found;
}
