import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { Containers } from '../engine/containers.ts';
import { HostLock } from './host-lock.ts';
import { hasStatus } from '../engine/engine-error.ts';

const lookMs = 10;
const limitMs = 10_000;
const mostTries = 5;

type ExecOptions = Parameters<Containers['open']>[1];

interface Exec {
  readonly id: string;
  readonly stream: Duplex;
}

/**
 * Starts processes in one container by the engine, and pauses it, never both at once: a process that is frozen before it has begun
 * leaves engines with a container that they neither describe, unpause nor remove.
 */
export class ProcessStarts {
  readonly #containers: Containers;
  readonly #id: string;
  /** Whose streams are open, or will be. */
  readonly #open = new Set<Promise<Exec>>();
  /** Other processes of ours start and pause as well. */
  readonly #lock: HostLock;
  /** Over once no pause is being asked for. */
  #pausing: Promise<unknown> = Promise.resolve();

  constructor(containers: Containers, id: string) {
    this.#containers = containers;
    this.#id = id;
    this.#lock = new HostLock(id);
  }

  async open(options: ExecOptions): Promise<Exec> {
    for (let waited: unknown; waited !== this.#pausing; await waited) waited = this.#pausing;
    const opening = this.#startHeld(options);
    this.#open.add(opening);
    const over = (): unknown => this.#open.delete(opening);
    opening.then(({ stream }) => stream.once('close', over), over);
    return opening;
  }

  async #startHeld(options: ExecOptions): Promise<Exec> {
    const release = await this.#lock.hold();
    const opening = this.#containers.open(this.#id, options);
    void this.#hasBegun(opening, AbortSignal.timeout(limitMs)).finally(release);
    return opening;
  }

  /**
   * Looks whether the container has stopped since a process was started in it, although it may run again. The first look only learns
   * which start it is, where the engine still knows the process.
   */
  watch(id: string): () => Promise<boolean> {
    let startedAt: string | undefined;
    return async () => {
      try {
        await this.#containers.inspectExec(id);
        const state = (await this.#containers.find(this.#id))?.State;
        startedAt ??= state?.StartedAt;
        return state?.Running !== true || state.StartedAt !== startedAt;
      } catch (error) {
        return hasStatus(error, 404);
      }
    };
  }

  /** Has the container paused, whoever else pauses or unpauses it. @throws the engine's answer when it does not run */
  async pause(): Promise<void> {
    await this.#until(true, async () => this.#pauseInTurn());
  }

  /** Has the container not paused, likewise. */
  async unpause(): Promise<void> {
    await this.#until(false, async () => this.#containers.act(this.#id, 'unpause'));
  }

  /** The engine refuses what is so already, and others may have undone that by the time one looks. */
  async #until(paused: boolean, act: () => Promise<void>): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await act();
      } catch (error) {
        const state = (await this.#containers.find(this.#id))?.State;
        if (state?.Running === true && state.Paused === paused) return;
        if (state?.Running !== true || tries >= mostTries) throw error;
      }
    }
  }

  async #pauseInTurn(): Promise<void> {
    const paused = this.#pauseHeld(this.#pausing);
    this.#pausing = paused.catch(() => undefined);
    await paused;
  }

  async #pauseHeld(before: Promise<unknown>): Promise<void> {
    await before;
    const release = await this.#lock.hold();
    try {
      await this.#begun();
      await this.#containers.act(this.#id, 'pause');
    } finally {
      release();
    }
  }

  async #begun(): Promise<void> {
    const signal = AbortSignal.timeout(limitMs);
    await Promise.all([...this.#open].map(async (opening) => this.#hasBegun(opening, signal)));
    // What others start, who know nothing of the lock: the engine describes a container once what it is starting there has begun.
    await this.#containers.find(this.#id);
  }

  async #hasBegun(opening: Promise<Exec>, signal: AbortSignal): Promise<void> {
    try {
      const { id } = await opening;
      for (;;) {
        const { Pid, ExitCode } = await this.#containers.inspectExec(id);
        if (Pid > 0 || ExitCode !== null || signal.aborted) return;
        await delay(lookMs);
      }
    } catch {
      // What could not be started, or is not known any more, will not begin.
    }
  }
}
