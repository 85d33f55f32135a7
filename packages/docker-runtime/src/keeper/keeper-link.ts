import type { ExecOutcome, Fence, HomeId, Logger } from '@opencode-tools/core';
import type { ContainerDescription, Containers } from '../engine/containers.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import { EngineError, hasStatus } from '../engine/engine-error.ts';
import type { ControlAnswer } from '../lane/lane.ts';
import { lanesFor } from '../lane/lane-pool.ts';
import { readOutput } from '../lane/read-output.ts';
import { afterLoss, explainLoss, notRunning, sandboxNotFound } from '../sandbox/explain-loss.ts';
import type { CommandLane, CommandLanes, SandboxInside, SandboxUser } from '../sandbox/sandbox-inside.ts';
import { Turnstile } from '../sandbox/turnstile.ts';
import { EngineLane } from './engine-lane.ts';
import { exitCodeOf } from './exit-code.ts';
import { fenceWords, placeFence, placeKeeper, readFence } from './keeper-files.ts';
import { keeperPath } from './keeper-options.ts';
import { needsShell } from './needs-shell.ts';
import { noBackground } from './no-background.ts';

/** What the keeper ends with besides 0: the fence is higher already; it was itself ended. */
const exits = { lower: 3, killed: 137 } as const;
const mostTries = 20;
const noAnswer = { exitCode: null, count: 1 };
const answerLimits = { bytes: 1024 ** 2, ms: 30_000 };

/**
 * The inside of a container whose image has no shell. Each command is a process that the engine starts; the keeper asks the fence for it.
 * The fence is a file in a volume of the container, so that it holds while the container is stopped. Nothing tells the processes
 * of one command from those of another: to end one is to end all.
 */
export class KeeperLink implements SandboxInside {
  readonly id: string;
  readonly containers: Containers;
  readonly logger: Logger;
  readonly user: SandboxUser;
  readonly lanes: CommandLanes;
  readonly background = noBackground;
  /** How a command ended is the engine's word. */
  readonly #client: EngineClient;
  readonly #homeId: HomeId;
  #fence: Fence | undefined;
  #cuts = 0;

  constructor(
    engine: { readonly client: EngineClient; readonly containers: Containers; readonly homeId: HomeId },
    id: string,
    user: SandboxUser,
    logger: Logger,
  ) {
    this.containers = engine.containers;
    this.#client = engine.client;
    this.#homeId = engine.homeId;
    this.id = id;
    this.user = user;
    this.logger = logger;
    const places = new Turnstile(lanesFor(user.pids));
    this.lanes = {
      use: async <T>(use: (lane: CommandLane) => Promise<T>, { signal }: { readonly signal?: AbortSignal } = {}) =>
        places.pass(async () => use(new EngineLane(this)), signal),
    };
  }

  /** How often this process has had processes ended here. */
  get cuts(): number {
    return this.#cuts;
  }

  remember(fence: Fence): void {
    this.#fence = fence;
  }

  async describe(): Promise<ContainerDescription> {
    const found = await this.containers.find(this.id);
    if (found) return found;
    throw sandboxNotFound(this.id);
  }

  async start(): Promise<void> {
    const container = await this.describe();
    if (container.State.Status === 'created') await placeKeeper(this.#client, container, this.#homeId, this.#fence);
    else if (this.#fence) await this.#raiseStopped(container, this.#fence);
    await this.containers.act(this.id, 'start');
  }

  async initialise(): Promise<void> {
    if (this.#fence) await this.raise(this.#fence);
  }

  async connect(): Promise<void> {
    if (!(await this.describe()).State.Running) throw notRunning(this.id, undefined);
  }

  async raise(fence: Fence): Promise<ControlAnswer> {
    const container = await this.describe();
    if (!container.State.Running) return this.#raiseStopped(container, fence);
    return this.#ending(['fence', ...fenceWords(fence)], fence);
  }

  async cut(): Promise<number> {
    return this.endAll();
  }

  async endAll(): Promise<number> {
    if (!(await this.containers.find(this.id))?.State.Running) return 0;
    return (await this.#ending(['end'])).count;
  }

  async ask(signal: 0 | 15): Promise<number> {
    return this.#awake(async () => (await this.#keeper(['ask', String(signal)])).count);
  }

  /** Says whether the fence lets a token pass, running or not. True of a sandbox that is gone. */
  async admits(token: number): Promise<boolean> {
    if ((await this.containers.find(this.id)) === undefined) return true;
    const fence = await readFence(this.#client, this.id);
    return fence !== undefined && token >= fence.minToken && !fence.revoked.includes(token);
  }

  async runTerminal(): Promise<ExecOutcome> {
    throw needsShell('A terminal');
  }

  async readMounts(): Promise<string> {
    return (await this.#keeper(['mounts'])).said;
  }

  async afterLoss(): Promise<ContainerDescription | undefined> {
    return afterLoss(this.containers, this.id);
  }

  async explain(error: unknown): Promise<unknown> {
    return explainLoss(this.containers, this.id, error);
  }

  close(): void {
    // Nothing stands open between commands.
  }

  /** Where the keeper cannot be started, or cannot end what runs, the container is started anew: its fence is in a volume. */
  async #ending(words: readonly string[], fence?: Fence): Promise<ControlAnswer> {
    this.#cuts += 1;
    const { exitCode, count } = await this.#awake(async () => this.#keeper(words)).catch(async (error: unknown) => {
      if (!(error instanceof EngineError) || !(await this.describe()).State.Running) throw error;
      this.logger.debug('The keeper could not be started', { sandbox: this.id, error: error.message });
      return noAnswer;
    });
    if (exitCode === exits.lower) return { outcome: 'lower', count: 0 };
    if (exitCode === 0) return { outcome: 'ok', count };
    await this.#restart(fence);
    // A keeper that could not begin has counted nobody: there was at least whoever left no room for it.
    return { outcome: 'ok', count: Math.max(1, count) };
  }

  async #restart(fence: Fence | undefined): Promise<void> {
    this.logger.warn('Restarting the sandbox: its processes cannot be ended otherwise', { sandbox: this.id });
    await this.containers.act(this.id, 'stop', { t: 0 });
    if (fence) this.remember(fence);
    await this.start();
  }

  async #raiseStopped(container: ContainerDescription, fence: Fence): Promise<ControlAnswer> {
    this.remember(fence);
    // It has no keeper yet: whoever starts it brings the fence along.
    if (container.State.Status === 'created') return { outcome: 'ok', count: 0 };
    const held = await readFence(this.#client, this.id);
    if (held !== undefined && isLower(fence, held)) return { outcome: 'lower', count: 0 };
    if (held !== undefined && isSame(fence, held)) return { outcome: 'ok', count: 0 };
    await placeFence(this.#client, container, this.#homeId, fence);
    return { outcome: 'ok', count: 0 };
  }

  /** One keeper that ends everything ends others, too: they begin again. */
  async #keeper(words: readonly string[]): Promise<{ exitCode: number | null; count: number; said: string }> {
    for (let tries = 1; ; tries += 1) {
      const options = { user: '0:0', env: [], argv: [keeperPath, ...words], stdin: false };
      const { id, stream } = await this.#opening(async () => this.containers.open(this.id, options));
      const said = await readOutput(stream, answerLimits);
      const exitCode = await exitCodeOf(this.containers, id);
      if (exitCode !== exits.killed || tries >= mostTries) {
        return { exitCode, count: Number.parseInt(said, 10) || 0, said };
      }
    }
  }

  async #opening<T>(open: () => Promise<T>): Promise<T> {
    try {
      return await open();
    } catch (error) {
      if (hasStatus(error, 404)) throw sandboxNotFound(this.id);
      if (hasStatus(error, 409)) throw notRunning(this.id, error);
      throw error;
    }
  }

  async #awake<T>(work: () => Promise<T>): Promise<T> {
    const { State } = await this.describe();
    if (!State.Paused) return work();
    await this.containers.act(this.id, 'unpause');
    try {
      return await work();
    } finally {
      await this.containers.act(this.id, 'pause');
    }
  }
}

/** What is there already is not written again: each start would add a file. */
function isSame({ minToken, revoked }: Fence, held: Fence): boolean {
  return minToken === held.minToken && revoked.every((token) => token < minToken || held.revoked.includes(token));
}

/** As the keeper itself compares. */
function isLower(fence: Fence, held: Fence): boolean {
  if (fence.minToken < held.minToken) return true;
  return held.revoked.some((token) => token >= fence.minToken && !fence.revoked.includes(token));
}
