import { type Fence, type Logger, OpencodeToolsError } from '@opencode-tools/core';
import type { ContainerDescription, Containers } from '../engine/containers.ts';
import { hasStatus } from '../engine/engine-error.ts';
import type { ControlAnswer, Lane } from '../lane/lane.ts';
import { LanePool } from '../lane/lane-pool.ts';
import { attachFirstLane, openLane } from '../lane/open-lanes.ts';

/** What is open between this process and one container: its lanes, and the fence as this process last set it. */
export class SandboxLink {
  readonly id: string;
  readonly containers: Containers;
  readonly logger: Logger;
  readonly #user: { readonly uid: number; readonly gid: number };
  readonly #root: LanePool;
  readonly #plain: LanePool;
  #usePlain = false;
  #fence: Fence | undefined;

  constructor(
    containers: Containers,
    id: string,
    user: { readonly uid: number; readonly gid: number },
    logger: Logger,
  ) {
    this.containers = containers;
    this.id = id;
    this.logger = logger;
    this.#user = user;
    this.#root = new LanePool(async () => this.#open('root'));
    this.#plain = new LanePool(async () => this.#open('user'));
  }

  /** Where commands run. */
  get lanes(): LanePool {
    return this.#usePlain ? this.#plain : this.#root;
  }

  /** True when commands share their user with the supervisor, and so could forge a result. */
  get forgeable(): boolean {
    return this.#usePlain;
  }

  /** From now on supervisors run as the commands' user, because nothing in the image can change user. */
  shareUser(): void {
    this.#usePlain = true;
    this.logger.warn('The image has neither setpriv nor a usable su: commands could forge results', {
      sandbox: this.id,
    });
  }

  remember(fence: Fence): void {
    this.#fence = fence;
  }

  async describe(): Promise<ContainerDescription> {
    const found = await this.containers.find(this.id);
    if (found) return found;
    throw sandboxNotFound(this.id);
  }

  /** Starts the container and writes the fence, if this process knows it, before anything else can be asked for. */
  async start(): Promise<void> {
    this.close();
    const lane = await attachFirstLane(this.containers, this.id);
    try {
      await this.containers.act(this.id, 'start');
      if (this.#fence) await lane.control('init', ...fenceWords(this.#fence));
      else await lane.hello();
    } catch (error) {
      lane.close();
      throw error;
    }
    this.#root.add(lane);
  }

  /** Writes the fence into a running container that has none yet. */
  async initialise(): Promise<void> {
    const fence = this.#fence;
    if (fence) await this.#root.use(async (lane) => lane.control('init', ...fenceWords(fence)), { urgent: true });
  }

  /** Ends everything in the container by starting it anew. */
  async restart(): Promise<void> {
    this.logger.warn('Restarting the sandbox: its processes cannot be ended otherwise', { sandbox: this.id });
    await this.containers.act(this.id, 'stop', { t: 0 });
    await this.start();
  }

  /** Asks a supervisor that runs as root; a paused container is woken for it. */
  async control(verb: 'fence' | 'cut' | 'all', ...words: readonly number[]): Promise<ControlAnswer> {
    return this.#awake(async () => {
      try {
        return await this.#ask(verb, words, false);
      } catch (error) {
        if (error instanceof OpencodeToolsError) throw error;
        return this.#ask(verb, words, true);
      }
    });
  }

  /** Ends all processes of one execution, by whatever it takes. Returns how many there were. */
  async cut(execution: number): Promise<number> {
    try {
      const { outcome, count } = await this.control('cut', execution);
      if (outcome === 'ok') return count;
    } catch (error) {
      const now = await this.containers.find(this.id);
      if (!now?.State.Running) return 0;
      this.logger.debug('A command could not be ended from inside', { sandbox: this.id, error: String(error) });
    }
    await this.restart();
    return 1;
  }

  close(): void {
    this.#root.close();
    this.#plain.close();
  }

  async #ask(verb: 'fence' | 'cut' | 'all', words: readonly number[], fresh: boolean): Promise<ControlAnswer> {
    return this.#root.use(async (lane) => lane.control(verb, ...words), { fresh, urgent: true });
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

  async #open(as: 'root' | 'user'): Promise<Lane> {
    try {
      return await openLane(this.containers, this.id, this.#user, as);
    } catch (error) {
      if (hasStatus(error, 404)) throw sandboxNotFound(this.id);
      if (hasStatus(error, 409)) throw notRunning(this.id, error);
      throw error;
    }
  }
}

export function fenceWords(fence: Fence): readonly number[] {
  return [fence.minToken, ...fence.revoked];
}

export function sandboxNotFound(id: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_SANDBOX_NOT_FOUND', `The sandbox ${id.slice(0, 12)} does not exist`, {
    details: { sandbox: id },
  });
}

function notRunning(id: string, cause: unknown): OpencodeToolsError {
  return new OpencodeToolsError('OCT_SANDBOX_NOT_FOUND', `The sandbox ${id.slice(0, 12)} does not run`, {
    remedy: 'Start or unpause it, then run the command again.',
    details: { sandbox: id },
    cause,
  });
}
