import { join } from 'node:path';
import {
  type Clock,
  type HomeId,
  type Services,
  type ServiceDependencies,
  type Task,
  createIds,
  createServices,
  silentLogger,
} from '@opencode-tools/core';
import { sampleActor, sampleDraft, sampleTask } from '@opencode-tools/testkit';
import { openSqliteStore } from '../src/sqlite.ts';
import type { Store } from '../src/store.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';

/** The services of two processes, as far as they coordinate, on one real registry. */
export interface CoordinationHome {
  readonly clock: Clock & { move(ms: number): void };
  readonly homeId: HomeId;
  readonly stores: readonly [Store, Store];
  readonly services: readonly [Services, Services];
  create(change: Partial<Task>): Promise<Task>;
  close(): Promise<void>;
}

export async function openCoordinationHome(): Promise<CoordinationHome> {
  let nowMs = Date.now();
  const clock = { nowMs: () => nowMs, move: (ms: number) => void (nowMs += ms) };
  const directory = temporaryDirectory();
  const open = (): Promise<Store> => openSqliteStore({ directory: join(directory.path, 'home'), clock });
  const stores = [await open(), await open()] as const;
  const [first] = stores;
  return {
    clock,
    homeId: first.homeId,
    stores,
    services: [servicesOver(stores[0], clock), servicesOver(stores[1], clock)],
    create: async (change) => {
      const task = sampleTask(first.homeId, change);
      await first.tasks.commit({ records: [sampleDraft(task.id, 'task.created', { noun: 'task', value: task })] });
      return task;
    },
    close: async () => {
      for (const store of stores) await store.close();
      directory.remove();
    },
  };
}

/** Engine, images and workspaces are absent: nothing that coordinates may touch them. */
function servicesOver(store: Store, clock: Clock): Services {
  const { homeId, tasks, leases, ledger, checkpoints, memory, admin } = store;
  const self = { hostId: 'host', bootId: 'boot', pid: 1, startedAt: '1' };
  const present: Partial<ServiceDependencies> = {
    homeId,
    tasks,
    leases,
    ledger,
    checkpoints,
    memory,
    admin,
    hooks: { listens: () => false, run: async () => [] },
    processes: { self: () => self, isAlive: () => true },
    notifier: { publish: () => undefined },
    clock,
    ids: createIds(clock),
    logger: silentLogger,
    defaults: { leaseTtlMs: 60_000 } as ServiceDependencies['defaults'],
  };
  return createServices(present as ServiceDependencies);
}

export function callOf(agent: string) {
  return { actor: { ...sampleActor, id: agent, agent, session: null } };
}
