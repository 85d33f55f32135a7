import {
  type HomeId,
  type Logger,
  type NetworkPort,
  OpencodeToolsError,
  type RuntimeCapabilities,
  type SandboxEvent,
  type SandboxFacts,
  type SandboxHandle,
  type SandboxPlan,
  type SandboxRuntime,
  type VolumePort,
} from '@opencode-tools/core';
import { ownVolumes } from '../volumes/own-volumes.ts';
import { type ContainerDescription, Containers } from '../engine/containers.ts';
import type { Engine } from '../engine/engine.ts';
import { asPortError, hasStatus } from '../engine/engine-error.ts';
import { imageNotFound } from '../images/docker-images.ts';
import { Snapshots } from '../images/snapshot-root.ts';
import { type MountPolicy, checkMounts } from '../plan/check-mounts.ts';
import { assertPossible, containerOptions } from '../plan/container-options.ts';
import { labelKeys } from '../plan/labels.ts';
import { sharesFiles } from '../plan/read-back-mounts.ts';
import { placeProgram } from '../shellless/place-program.ts';
import { shelllessOptions } from '../shellless/shellless-options.ts';
import { askCapabilities, assertCapable } from './capabilities.ts';
import { DockerSandbox } from './docker-sandbox.ts';
import { afterItsMaker, findContainers, findContainersIn, findMade, madeByOther } from './find-containers.ts';
import { listHelperContainers, removeHelperContainer } from './helper-containers.ts';
import { prepareMounts } from './prepare-mounts.ts';
import { readBackMounts } from './read-back-mounts.ts';
import { sandboxEvents } from './sandbox-events.ts';
import { commandUser, sandboxFacts, userOf } from './sandbox-facts.ts';
import type { SandboxInside, SandboxUser } from './sandbox-inside.ts';
import { SandboxLink } from './sandbox-link.ts';
import { isShellless, startError } from './start-error.ts';
import { takenOver } from './taken-over.ts';
import { Turnstile } from './turnstile.ts';

/**
 * How many sandboxes are brought up at once: engines start containers one after the other in the main, so that more at once only
 * makes the slowest slower. Measured with 32 starts: 4 at once take 0.5x the time of one by one, 32 take 0.6x.
 */
const mostStartsAtOnce = 4;

interface Entry {
  readonly link: SandboxInside;
  readonly handle: DockerSandbox;
}

interface Options {
  readonly homeId: HomeId;
  readonly host: Omit<MountPolicy, 'engineSocket'>;
  readonly requireLimits: boolean;
  readonly mostLayers: number;
  readonly logger: Logger;
  /** Ends what else this process has open on the engine. */
  readonly onClose?: () => Promise<void>;
}

/** Sandboxes as containers of a Docker Engine. */
export class DockerRuntime implements SandboxRuntime {
  readonly name = 'docker';
  readonly volumes: VolumePort;
  readonly networks: NetworkPort;
  readonly #engine: Engine;
  readonly #homeId: HomeId;
  readonly #host: Omit<MountPolicy, 'engineSocket'>;
  readonly #requireLimits: boolean;
  readonly #mostLayers: number;
  readonly #logger: Logger;
  readonly #onClose: (() => Promise<void>) | undefined;
  readonly #entries = new Map<string, Entry>();
  /** Images that turned out to have no shell. */
  readonly #shellless = new Set<string>();
  readonly #starts = new Turnstile(mostStartsAtOnce);
  #capabilities: Promise<RuntimeCapabilities> | undefined;

  constructor(
    engine: Engine,
    ports: { readonly volumes: VolumePort; readonly networks: NetworkPort },
    options: Options,
  ) {
    this.#engine = engine;
    this.volumes = ports.volumes;
    this.networks = ports.networks;
    this.#homeId = options.homeId;
    this.#host = options.host;
    this.#requireLimits = options.requireLimits;
    this.#mostLayers = options.mostLayers;
    this.#logger = options.logger;
    this.#onClose = options.onClose;
  }

  async capabilities(): Promise<RuntimeCapabilities> {
    this.#capabilities ??= this.#engine.find().then(askCapabilities);
    try {
      return await this.#capabilities;
    } catch (error) {
      this.#capabilities = undefined;
      throw asPortError(error, 'Asking the engine what it can do');
    }
  }

  async create(plan: SandboxPlan, options: { readonly signal?: AbortSignal } = {}): Promise<SandboxHandle> {
    try {
      assertPossible(plan);
      const containers = await this.#containers();
      return await this.#starts.pass(async () => this.#make(containers, plan, options.signal), options.signal);
    } catch (error) {
      throw asPortError(error, 'Making a sandbox');
    }
  }

  async find(ref: string): Promise<SandboxHandle | undefined> {
    try {
      const container = await (await this.#containers()).find(ref);
      if (!container || container.Config.Labels?.[labelKeys.home] !== this.#homeId) return undefined;
      return (await this.#entry(container))?.handle;
    } catch (error) {
      throw asPortError(error, 'Looking for a sandbox');
    }
  }

  async list(filter: Parameters<SandboxRuntime['list']>[0]): Promise<readonly SandboxFacts[]> {
    return this.#facts('Listing sandboxes', async (containers) => findContainers(containers, filter));
  }

  async listIn(directory: string): Promise<readonly SandboxFacts[]> {
    const doing = 'Looking for sandboxes that have a directory';
    return this.#facts(doing, async (containers) => findContainersIn(containers, directory));
  }

  async listHelpers(of: Parameters<SandboxRuntime['listHelpers']>[0]): ReturnType<SandboxRuntime['listHelpers']> {
    try {
      return await listHelperContainers(await this.#containers(), of.homeId);
    } catch (error) {
      throw asPortError(error, 'Listing helper containers');
    }
  }

  async *events(options: { readonly homeId: HomeId; readonly signal: AbortSignal }): AsyncGenerator<SandboxEvent> {
    try {
      yield* sandboxEvents(await this.#engine.client(), options);
    } catch (error) {
      throw asPortError(error, 'Following what happens to sandboxes');
    }
  }

  async removeHelper(ref: string): Promise<void> {
    try {
      await removeHelperContainer(await this.#containers(), this.#homeId, ref);
    } catch (error) {
      throw asPortError(error, 'Removing a helper container');
    }
  }

  async close(): Promise<void> {
    for (const { link } of this.#entries.values()) link.close();
    this.#entries.clear();
    await this.#onClose?.();
  }

  async #facts(
    doing: string,
    find: (containers: Containers) => Promise<readonly ContainerDescription[]>,
  ): Promise<readonly SandboxFacts[]> {
    try {
      return (await find(await this.#containers())).map(sandboxFacts);
    } catch (error) {
      throw asPortError(error, doing);
    }
  }

  async #make(containers: Containers, plan: SandboxPlan, signal?: AbortSignal): Promise<SandboxHandle> {
    const engine = { client: await this.#engine.client(), volumes: this.volumes, logger: this.#logger };
    const preparing = prepareMounts(engine, plan, await this.#mountPolicy());
    // What is there already needs nothing of it.
    const [existing] = await Promise.all([findMade(containers, plan), preparing.catch(() => undefined)]);
    if (existing) return this.#adopt(existing, plan);
    const { mounts, trust, foreign } = await preparing;
    const capabilities = this.capabilities();
    capabilities.catch(() => undefined);
    if (plan.runtime !== null) assertCapable(await capabilities, plan, this.#requireLimits);
    const since = performance.now();
    const id = await this.#createContainer(containers, { ...plan, mounts: [...mounts, ...trust] }, signal);
    if (typeof id !== 'string') return this.#adopt(id, plan);
    const hasShell = !this.#shellless.has(plan.imageId);
    const entry = await this.#entryFor(id, userOf(plan, hasShell));
    let isOurs = false;
    try {
      assertCapable(await capabilities, plan, this.#requireLimits);
      signal?.throwIfAborted();
      if (plan.fence !== null) entry.link.remember(plan.fence);
      await ownVolumes(engine.client, this.volumes, id, plan, foreign);
      if (!hasShell) await placeProgram(this.#engine, await entry.link.describe(), this.#homeId);
      const taken = await takenOver(containers, id, since);
      if (taken) return await this.#adopt(taken, plan);
      await entry.link.start({ isNew: true });
      isOurs = true;
      await readBackMounts(entry.link, { ...plan, mounts }, await this.#sharesFiles());
      signal?.throwIfAborted();
      return entry.handle;
    } catch (error) {
      const reason = signal?.aborted
        ? new OpencodeToolsError('OCT_CANCELLED', 'Making a sandbox was cancelled')
        : await startError(containers, id, error);
      if (isOurs || !(await takenOver(containers, id, since))) await this.#removeQuietly(entry);
      if (!hasShell || !isShellless(reason)) throw reason;
      this.#shellless.add(plan.imageId);
      return this.#make(containers, plan, signal);
    }
  }

  /** What the sandbox failed with is worth more than what its removal failed with; its operation finds it by label. */
  async #removeQuietly({ handle }: Entry): Promise<void> {
    try {
      await handle.destroy();
    } catch (error) {
      this.#logger.warn('A half-made sandbox was not removed', { sandbox: handle.ref, error: String(error) });
    }
  }

  /** Takes over what an interrupted call left; its fence is written if that call did not come so far. */
  async #adopt(found: ContainerDescription, plan: SandboxPlan): Promise<SandboxHandle> {
    const container = await afterItsMaker(await this.#containers(), found);
    const hasShell = commandUser(container)?.hasShell !== false;
    const { link, handle } = await this.#entryFor(container.Id, userOf(plan, hasShell));
    if (plan.fence !== null) link.remember(plan.fence);
    if (container.State.Status === 'created') {
      await ownVolumes(await this.#engine.client(), this.volumes, container.Id, plan);
      if (!hasShell) await placeProgram(this.#engine, container, this.#homeId);
    }
    // Perhaps with the supervisor of an earlier version, so nothing is said of its root file system.
    if (!container.State.Running) await link.start();
    else if (!container.State.Paused) await link.initialise();
    if (!container.State.Paused && plan.mounts.some(({ kind }) => kind === 'bind')) {
      const mounts = await checkMounts(plan.mounts, await this.#mountPolicy());
      await readBackMounts(link, { ...plan, mounts }, await this.#sharesFiles());
    }
    return handle;
  }

  /** The id of a new container, or what another call for the same operation made in the meantime. */
  async #createContainer(
    containers: Containers,
    plan: SandboxPlan,
    signal?: AbortSignal,
  ): Promise<string | ContainerDescription> {
    try {
      const { architecture } = await this.#engine.find();
      const options = (this.#shellless.has(plan.imageId) ? shelllessOptions : containerOptions)(plan, architecture);
      return await containers.create(plan.name, options, signal);
    } catch (error) {
      if (hasStatus(error, 404)) throw imageNotFound(plan.imageId);
      const other = hasStatus(error, 409) ? await madeByOther(containers, plan) : undefined;
      if (other) return other;
      throw error;
    }
  }

  async #entry(container: ContainerDescription): Promise<Entry | undefined> {
    const user = commandUser(container);
    return user && this.#entryFor(container.Id, user);
  }

  async #entryFor(id: string, user: SandboxUser): Promise<Entry> {
    const client = await this.#engine.client();
    const known = this.#entries.get(id);
    if (known) return known;
    const link = new SandboxLink(new Containers(client), id, user, this.#logger);
    const entry = {
      link,
      handle: new DockerSandbox(link, client, new Snapshots(client, this.#mostLayers), {
        onDestroyed: () => this.#entries.delete(id),
        sharesFiles: async () => this.#sharesFiles(),
      }),
    };
    this.#entries.set(id, entry);
    return entry;
  }

  async #containers(): Promise<Containers> {
    return new Containers(await this.#engine.client());
  }

  async #mountPolicy(): Promise<MountPolicy> {
    return { ...this.#host, engineSocket: await this.#engineSocket() };
  }

  async #sharesFiles(): Promise<boolean> {
    return sharesFiles(await this.#engineSocket());
  }

  async #engineSocket(): Promise<string | undefined> {
    const { endpoint } = await this.#engine.find();
    return /^unix:\/\/(.+)$/.exec(endpoint.url)?.[1];
  }
}
