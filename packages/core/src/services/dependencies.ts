import type { HomeId } from '../domain/ids.ts';
import type { LiveLimits, ResourceLimits, SecretSource } from '../domain/sandbox-spec.ts';
import type { LeaseMode } from '../domain/task.ts';
import type { AgentWorkScope } from '../policy/agent-work.ts';
import type { CheckpointCatalog } from '../ports/checkpoint-catalog.ts';
import type { Clock } from '../ports/clock.ts';
import type { EgressGateway } from '../ports/egress-gateway.ts';
import type { EngineProbe } from '../ports/engine-probe.ts';
import type { GitPort } from '../ports/git-port.ts';
import type { HookPort } from '../ports/hook-port.ts';
import type { HousekeepingStore } from '../ports/housekeeping-store.ts';
import type { Ids } from '../ports/ids.ts';
import type { ImageStore } from '../ports/image-store.ts';
import type { LeaseStore } from '../ports/lease-store.ts';
import type { Ledger } from '../ports/ledger.ts';
import type { Logger } from '../ports/logger.ts';
import type { Notifier } from '../ports/notifier.ts';
import type { ProcessTable } from '../ports/process-table.ts';
import type { SandboxRuntime } from '../ports/sandbox-runtime.ts';
import type { SecretResolver } from '../ports/secret-resolver.ts';
import type { StoreAdmin } from '../ports/store-admin.ts';
import type { TaskMemory } from '../ports/task-memory.ts';
import type { TaskStore } from '../ports/task-store.ts';
import type { DirectoryWatch } from '../ports/directory-watch.ts';
import type { WorkPort } from '../ports/work-port.ts';
import type { WorkspaceStore } from '../ports/workspace-store.ts';
import type { HomeNotice } from './services.ts';
import type { PoolOptions } from './pool/pool-options.ts';

import type { Thresholds } from './pressure.ts';
import type { AutomaticCheckpoints } from './automatic-checkpoint.ts';
import type { RetentionPolicy } from './retention.ts';

/** What a task or call gets when its caller does not say; from the configuration. */
export interface ServiceDefaults {
  readonly image: string;
  readonly limits: ResourceLimits;
  /** What limits can be raised to; default `defaultMaxLimits`. */
  readonly maxLimits?: LiveLimits;
  /** When a sandbox counts as near its limits, and how often that is looked at. */
  readonly monitor?: { readonly thresholds?: Thresholds; readonly intervalMs?: number };
  readonly user: { readonly uid: number; readonly gid: number };
  readonly leaseMode: LeaseMode;
  readonly maxAgents: number;
  readonly leaseTtlMs: number;
  readonly execTimeoutMs: number;
  /** Of each output, how much is returned. */
  readonly outputLimitBytes: number;
  /** Of each output, how much is kept at most. */
  readonly outputMaxBytes: number;
  readonly pool: PoolOptions;
  /** How far agents may bring work out by themselves; default `branch`. */
  readonly agentWork?: AgentWorkScope;
  /** Directories of sandboxes by name of the cache that tasks may have there; none by default. */
  readonly caches?: Readonly<Record<string, string>>;
  /** What one cache may hold before it is removed when nobody has it; any amount by default. */
  readonly cacheBudgetBytes?: number;
  /** Secrets that agents may ask for by name; none by default. */
  readonly secrets?: Readonly<Record<string, SecretSource>>;
  /** Which checkpoints of a task stay; default `defaultRetention`. */
  readonly retention?: RetentionPolicy;
  /** When checkpoints are taken that nobody asked for; default `defaultAutomatic`. */
  readonly automatic?: AutomaticCheckpoints;
  /** How often the housekeeper reaps, and how young what it finds may not be. */
  readonly reapIntervalMs: number;
  readonly reapGraceMs: number;
}

/** The ports that the services run on. */
export interface ServiceDependencies {
  /** What the doctor tells of the configuration; nothing by default. */
  readonly notices?: readonly HomeNotice[];
  readonly homeId: HomeId;
  readonly tasks: TaskStore;
  readonly leases: LeaseStore;
  readonly ledger: Ledger;
  readonly checkpoints: CheckpointCatalog;
  readonly housekeeping: HousekeepingStore;
  readonly memory: TaskMemory;
  readonly admin: StoreAdmin;
  readonly runtime: SandboxRuntime;
  readonly images: ImageStore;
  readonly probe: EngineProbe;
  readonly workspaces: WorkspaceStore;
  readonly work: WorkPort;
  readonly directories: DirectoryWatch;
  readonly git: GitPort;
  readonly hooks: HookPort;
  readonly egress: EgressGateway;
  readonly secrets: SecretResolver;
  readonly processes: ProcessTable;
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  readonly defaults: ServiceDefaults;
  /** Aborted when the home is about to be closed: what the services do on their own ends. */
  readonly closing?: AbortSignal;
}
