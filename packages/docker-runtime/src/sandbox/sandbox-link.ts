import {
  type BackgroundCommands,
  type ExecOutcome,
  type Fence,
  type Logger,
  OpencodeToolsError,
  type TerminalRequest,
  isOpencodeToolsError,
} from '@opencode-tools/core';
import type { ContainerDescription, Containers } from '../engine/containers.ts';
import { hasStatus, saysNotRunning } from '../engine/engine-error.ts';
import type { ControlAnswer, ControlVerb, Lane, RootVerb } from '../lane/lane.ts';
import { LanePool, lanesFor } from '../lane/lane-pool.ts';
import { startFirstLane, openLane, openSpool } from '../lane/open-lanes.ts';
import { readOutput } from '../lane/read-output.ts';
import { mountsCommand } from '../lane/supervisor-command.ts';
import { DockerBackground } from './docker-background.ts';
import { afterLoss, explainLoss, notRunning, sandboxNotFound } from './explain-loss.ts';
import { ProcessStarts } from './process-starts.ts';
import { runTerminal } from './run-terminal.ts';
import type { SandboxInside, SandboxUser } from './sandbox-inside.ts';

const mountLimits = { bytes: 1024 ** 2, ms: 20_000 };

/** What is open between this process and one container: its lanes, and the fence as this process last set it. */
export class SandboxLink implements SandboxInside {
  readonly background: BackgroundCommands;
  readonly id: string;
  readonly containers: Containers;
  readonly starts: ProcessStarts;
  readonly logger: Logger;
  readonly #user: SandboxUser;
  /** Where commands run. */
  readonly lanes: LanePool;
  #fence: Fence | undefined;
  /** True for a container that this process started and nobody has written a fence into: it takes no command yet. */
  #unfenced = false;

  /** @param user whom commands run as, and how many processes the sandbox may have; null is any number */
  constructor(containers: Containers, id: string, user: SandboxUser, logger: Logger) {
    this.containers = containers;
    this.id = id;
    this.starts = new ProcessStarts(containers, id);
    this.logger = logger;
    this.#user = user;
    this.lanes = new LanePool(
      async (opened) => this.#opening(async () => openLane(this.starts, user, opened)),
      lanesFor(user.pids),
    );
    this.background = new DockerBackground(this);
  }

  /** Whom commands run as. */
  get user(): SandboxUser {
    return this.#user;
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
  async start({ isNew = false } = {}): Promise<void> {
    this.close();
    const lane = await startFirstLane(this.containers, this.id);
    try {
      if (isNew) await lane.control('made');
      if (this.#fence) await lane.control('init', ...fenceWords(this.#fence));
      else await lane.hello();
      this.#unfenced = this.#fence === undefined;
    } catch (error) {
      lane.close();
      throw error;
    }
    this.lanes.add(lane);
  }

  /** Writes the fence into a running container that has none yet. */
  async initialise(): Promise<void> {
    const fence = this.#fence;
    if (!fence) return;
    await this.lanes.use(async (lane) => lane.control('init', ...fenceWords(fence)), { urgent: true });
    this.#unfenced = false;
  }

  async raise(fence: Fence): Promise<ControlAnswer> {
    if (this.#unfenced) {
      this.remember(fence);
      await this.initialise();
    } else if ((await this.describe()).State.Running) {
      return this.end('fence', fenceWords(fence), fence);
    } else {
      this.remember(fence);
    }
    return { outcome: 'ok', count: 0 };
  }

  async endAll(): Promise<number> {
    return (await this.end('all', [9])).count;
  }

  async ask(signal: 0 | 15): Promise<number> {
    return (await this.control('all', signal)).count;
  }

  /** Opens a lane unless one is open. */
  async connect(): Promise<void> {
    await this.lanes.use(async (lane) => lane.hello(), { urgent: true });
  }

  /** Asks a supervisor; a paused container is woken for it. */
  async control(verb: ControlVerb, ...words: readonly (number | bigint)[]): Promise<ControlAnswer> {
    return this.#awake(async () => {
      try {
        return await this.#ask(verb, words, false);
      } catch (error) {
        if (error instanceof OpencodeToolsError) throw error;
        return this.#ask(verb, words, true);
      }
    });
  }

  /** Says whether the fence lets a token pass; then the processes with the mark are not taken for strays. */
  async admit(token: number, mark: bigint): Promise<boolean> {
    return (await this.control('admit', token, mark)).outcome === 'ok';
  }

  async askOfRoot(insists: boolean, verb: RootVerb, ...words: readonly number[]): Promise<boolean | undefined> {
    const ask = async (lane: Lane): Promise<ControlAnswer> => lane.control(verb, ...words);
    const answer = await (insists ? this.lanes.use(ask, { urgent: true }) : this.lanes.useIdle(ask));
    return answer && answer.outcome === 'ok';
  }

  /** A supervisor for one command in the background. */
  async openSpool(limitSeconds: number): Promise<Lane> {
    return this.#opening(async () => openSpool(this.starts, this.#user, limitSeconds));
  }

  /** Ends all processes of one execution, by whatever it takes. Returns how many there were. */
  async cut(execution: number): Promise<number> {
    try {
      return (await this.end('cut', [execution])).count;
    } catch (error) {
      if (isUnanswered(error) || (await this.containers.find(this.id))?.State.Running) throw error;
      return 0;
    }
  }

  /**
   * Ends processes, by whatever it takes: a container in which no supervisor can be had, because its processes are used
   * up, or in which one could not end them, is started anew.
   *
   * @param fence what holds from then on
   */
  async end(verb: 'fence' | 'cut' | 'all', words: readonly number[], fence?: Fence): Promise<ControlAnswer> {
    let answer: ControlAnswer = { outcome: 'left', count: 1 };
    try {
      answer = await this.control(verb, ...words);
    } catch (error) {
      const lowered = fence !== undefined && fence.minToken < (this.#fence?.minToken ?? 0);
      if (lowered || isUnanswered(error) || !(await this.containers.find(this.id))?.State.Running) throw error;
      this.logger.debug('Processes could not be ended from inside', { sandbox: this.id, error: String(error) });
    }
    if (answer.outcome === 'lower') return answer;
    if (fence) this.#fence = fence;
    if (answer.outcome === 'left') await this.#restart();
    return answer;
  }

  async explain(error: unknown): Promise<unknown> {
    return explainLoss(this.containers, this.id, error);
  }

  async afterLoss(): Promise<ContainerDescription | undefined> {
    return afterLoss(this.containers, this.id);
  }

  async runTerminal(request: TerminalRequest): Promise<ExecOutcome> {
    return runTerminal(this, request);
  }

  async readMounts(): Promise<string> {
    const { uid, gid } = this.#user;
    const options = { user: `${uid}:${gid}`, env: [], argv: mountsCommand };
    return readOutput((await this.starts.open(options)).stream, mountLimits);
  }

  close(): void {
    this.lanes.close();
  }

  /** Ends everything in the container by starting it anew. */
  async #restart(): Promise<void> {
    this.logger.warn('Restarting the sandbox: its processes cannot be ended otherwise', { sandbox: this.id });
    await this.containers.act(this.id, 'stop', { t: 0 });
    await this.start();
  }

  async #ask(verb: ControlVerb, words: readonly (number | bigint)[], fresh: boolean): Promise<ControlAnswer> {
    return this.lanes.use(async (lane) => lane.control(verb, ...words), { fresh, urgent: true });
  }

  async #awake<T>(work: () => Promise<T>): Promise<T> {
    const { State } = await this.describe();
    if (!State.Paused) return work();
    await this.starts.unpause();
    try {
      return await work();
    } finally {
      await this.starts.pause();
    }
  }

  async #opening(open: () => Promise<Lane>): Promise<Lane> {
    try {
      return await open();
    } catch (error) {
      if (hasStatus(error, 404)) throw sandboxNotFound(this.id);
      if (hasStatus(error, 409) || saysNotRunning(error)) throw notRunning(this.id, error);
      throw error;
    }
  }
}

/** An engine that has said nothing for as long as it may is not asked for the next fact: each would take as long. */
function isUnanswered(error: unknown): boolean {
  return isOpencodeToolsError(error, 'OCT_ENGINE_UNAVAILABLE');
}

function fenceWords(fence: Fence): readonly number[] {
  return [fence.minToken, ...fence.revoked];
}
