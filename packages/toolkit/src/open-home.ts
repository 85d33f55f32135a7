import { join } from 'node:path';
import {
  type Clock,
  type EventBus,
  type Logger,
  type OpenHome,
  type ServiceDependencies,
  type Services,
  type StoreMaintenance,
  announceLeases,
  boundDirectories,
  createEventBus,
  createIds,
  createServices,
  deadLetterRecord,
  silentLogger,
  systemClock,
} from '@opencode-tools/core';
import type { Store } from '@opencode-tools/persistence/sqlite';
import type { Environment } from './configuration/environment.ts';
import { type Configuration, loadConfiguration } from './configuration/load-configuration.ts';
import { findSteering } from './host/find-steering.ts';
import { createProcessTable } from './host/process-table.ts';
import { createSecretResolver } from './host/secret-resolver.ts';
import { nameImages } from './wiring/name-images.ts';
import { wireEgress } from './wiring/wire-egress.ts';
import { wireEngine } from './wiring/wire-engine.ts';
import { wireHooks } from './wiring/wire-hooks.ts';
import { maintainStore, openStore } from './wiring/wire-store.ts';
import { wireWorkspace } from './wiring/wire-workspace.ts';

export interface OpenHomeOptions {
  /** The home directory, over whatever the configuration says. */
  readonly home?: string;
  /** Configuration file to read in place of the project's. */
  readonly configFile?: string;
  /** Where the project's configuration is searched from, upward; relative paths are relative to it. */
  readonly cwd: string;
  /** Environment variables: `OPENCODE_TOOLS_*`, those that name the engine, and those that tasks refer to. */
  readonly environment: Environment;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** Replaces or wraps ports before the services are made from them: another notifier, more hooks, measuring, fault injection. */
  readonly decorate?: (ports: ServiceDependencies) => ServiceDependencies;
}

/** Numeric user and group of `agent` in the sandbox images. */
const sandboxUser = { uid: 1000, gid: 1000 };

/**
 * Reads the configuration and opens the home that it names, making the directory when there is none. Any number of
 * processes may have one home open. Engine, git and content store are loaded when first needed: a process that only
 * reads never pays for them.
 *
 * @throws OpencodeToolsError `OCT_INVALID_CONFIG`, `OCT_STORE_UNAVAILABLE`, `OCT_STORE_READ_ONLY`, `OCT_SCHEMA_TOO_NEW`,
 *   `OCT_CAPABILITY_UNSUPPORTED`
 */
export async function openHome(options: OpenHomeOptions): Promise<OpenHome> {
  const configuration = await loadConfiguration(options);
  const { logger = silentLogger, clock = systemClock } = options;
  for (const { message, remedy } of configuration.notices) logger.warn(message, { remedy });
  const ids = createIds(clock);
  const { environment } = options;
  const store = await openStore(configuration, { environment, clock, logger });
  const { home, engineEndpoint: endpoint, requireLimits, mayMount } = configuration;
  const place = { cwd: options.cwd, environment, platform: process.platform };
  const steering = () => findSteering(place, options.configFile);
  const engine = wireEngine({
    endpoint,
    requireLimits,
    mayMount,
    steering,
    environment,
    homeId: store.homeId,
    ids,
    clock,
    logger,
  });
  const work = wireWorkspace({
    home,
    homeId: store.homeId,
    layers: engine.layers,
    useLayers: configuration.checkpoints.layers,
    packAfterMs: configuration.checkpoints.packAfterMs,
    volumes: engine.runtime.volumes,
    bound: () => boundDirectories(store.tasks),
    mayMount,
    steering,
    environment,
    logger,
  });
  const images = nameImages(engine.images, configuration.images, work.hostFiles);
  const secrets = createSecretResolver(environment, join(home, 'secrets.key'));
  const egress = wireEgress({ configuration, networks: engine.runtime.networks, secrets, clock, logger });
  const events = announceThrough(store, logger);
  const closing = new AbortController();
  const ports: ServiceDependencies = {
    homeId: store.homeId,
    tasks: store.tasks,
    leases: announceLeases(store.leases, store.ledger, events),
    ledger: store.ledger,
    checkpoints: store.checkpoints,
    housekeeping: store.housekeeping,
    memory: store.memory,
    admin: store.admin,
    runtime: engine.runtime,
    images,
    probe: engine.probe,
    workspaces: work.workspaces,
    work: work.work,
    directories: work.directories,
    git: work.git,
    hooks: wireHooks({ configuration, environment, git: work.git, clock, logger }),
    egress,
    secrets,
    processes: createProcessTable(),
    notifier: events,
    clock,
    ids,
    logger,
    defaults: serviceDefaults(configuration),
    notices: configuration.notices,
    closing: closing.signal,
  };
  const services = createServices(options.decorate?.(ports) ?? ports);
  await settleBrokenOff(services, logger);
  let closed: Promise<void> | undefined;
  const letGo = async (): Promise<void> => {
    closing.abort();
    const steps = [
      () => services.housekeeper.close(),
      () => events.close(),
      () => work.workspaces.settle(),
      () => engine.runtime.close(),
      () => store.close(),
    ];
    const failures: unknown[] = [];
    // What fails to close leaves nothing open that comes after it.
    for (const step of steps) await step().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  };
  const close = (): Promise<void> => (closed ??= letGo());
  return {
    homeId: store.homeId,
    directory: home,
    services,
    images,
    notices: configuration.notices.filter(({ likely }) => likely),
    hostFiles: work.hostFiles,
    store: store.admin,
    events,
    ledger: store.ledger,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** A directory of the user is not left half changed until its task is next used. What cannot be put right keeps no home shut. */
async function settleBrokenOff(services: Services, logger: Logger): Promise<void> {
  const actor = { kind: 'system', id: 'recovery', agent: null, model: null, session: null, onBehalfOf: null } as const;
  await services.work
    .settle({ actor })
    .catch((error: unknown) => logger.warn('Work that broke off was not looked for', { error: String(error) }));
}

/** A bus whose dead letters are records of the home, told to whoever listens as well. */
function announceThrough(store: Store, logger: Logger): EventBus {
  const bus = createEventBus({
    ledger: store.ledger,
    logger,
    onDeadLetter: async (letter) => bus.publish(await store.tasks.commit({ records: [deadLetterRecord(letter)] })),
  });
  return bus;
}

/**
 * Gives the maintenance of the registry of the home that the configuration names, whether it can be opened or not.
 *
 * @throws OpencodeToolsError `OCT_INVALID_CONFIG`
 */
export async function maintainHome(options: OpenHomeOptions): Promise<StoreMaintenance> {
  const configuration = await loadConfiguration(options);
  const { logger = silentLogger, clock = systemClock, environment } = options;
  return maintainStore(configuration, { environment, clock, logger });
}

function serviceDefaults(configuration: Configuration) {
  return {
    image: configuration.defaultImage,
    limits: configuration.limits,
    maxLimits: configuration.maxLimits,
    monitor: configuration.monitor,
    user: sandboxUser,
    leaseMode: configuration.lease.mode,
    maxAgents: configuration.lease.maxAgents,
    leaseTtlMs: configuration.lease.ttlMs,
    execTimeoutMs: configuration.exec.timeoutMs,
    outputLimitBytes: configuration.exec.outputLimitBytes,
    outputMaxBytes: configuration.exec.outputMaxBytes,
    pool: configuration.pool,
    agentWork: configuration.agentWork,
    caches: configuration.caches,
    ...(configuration.cacheBudgetBytes === null ? {} : { cacheBudgetBytes: configuration.cacheBudgetBytes }),
    secrets: configuration.secrets,
    retention: configuration.checkpoints.retention,
    automatic: configuration.checkpoints.automatic,
    reapIntervalMs: configuration.reaper.intervalMs,
    reapGraceMs: configuration.reaper.graceMs,
  };
}
