import type { Lane } from './lane.ts';

/** Lanes beyond these are closed when they are no longer used: each keeps a process in the sandbox. */
const mostIdle = 16;
const fewestLanes = 8;
const mostLanes = 32;
/** Lanes beyond these are not opened at the same time: each starts programs, and who waits may get one that is free before. */
const mostOpening = 4;
/** A process that runs one command and ends opens none in vain. */
const ownedBeforeAhead = 2;
/** What a lane and its command take of a sandbox's processes before the command starts any itself. */
const processesPerLane = 4;

export interface UseOptions {
  /** Opens a new lane even when one is idle. */
  readonly fresh?: boolean;
  /** Lends a lane that `use` uses up: one that is the main process of a container is none. */
  readonly own?: boolean;
  /** Does not wait for others, however many there are. */
  readonly urgent?: boolean;
  /** Ends waiting for a lane, and for one that is opening. */
  readonly signal?: AbortSignal;
}

/** How many commands run at once in a sandbox with this limit of processes; null is no limit. */
export function lanesFor(pids: number | null): number {
  if (pids === null || pids <= 0) return mostLanes;
  return Math.max(fewestLanes, Math.min(mostLanes, Math.floor(pids / processesPerLane)));
}

/** Lanes to one sandbox: opened as commands overlap, kept for the next command. Further commands wait, served in order. */
export class LanePool {
  readonly #open: (opened: (lane: Lane) => void) => Promise<Lane>;
  readonly #most: number;
  readonly #idle: Lane[] = [];
  readonly #all = new Set<Lane>();
  readonly #waiting: (() => void)[] = [];
  readonly #wanting: (() => void)[] = [];
  /** The lane whose end would be that of the container's main process. */
  #first: Lane | undefined;
  /** Being opened ahead, until somebody waits for it. */
  #spare: Promise<void> | undefined;
  #owned = 0;
  /** Counts the closings: a lane that was asked for before one is closed when it comes. */
  #closings = 0;
  #taken = 0;
  #opening = 0;

  /**
   * @param open calls `opened` as soon as there is something to be closed, and resolves when the lane can be used
   * @param most how many are lent at once, urgent uses left out
   */
  constructor(open: (opened: (lane: Lane) => void) => Promise<Lane>, most: number) {
    this.#open = open;
    this.#most = most;
  }

  /** Adds the lane that is the main process of a container. */
  add(lane: Lane): void {
    this.#first = lane;
    this.#all.add(lane);
    this.#idle.push(lane);
  }

  /**
   * Lends a lane for the time of `use`; it is taken back unless it broke or was used up.
   *
   * @throws the signal's reason, when it is aborted before `use` is called
   */
  async use<T>(use: (lane: Lane) => Promise<T>, options: UseOptions = {}): Promise<T> {
    const { signal, urgent = false } = options;
    const before = this.#closings;
    if (!urgent) await this.#takeSlot(signal);
    const giveBack = (): void => (urgent ? undefined : this.#freeSlot());
    const getting = this.#get(options);
    let lane: Lane;
    try {
      lane = await unlessAborted(getting, signal);
    } catch (error) {
      void getting.then((late) => this.#keep(late), ignore).finally(giveBack);
      throw error;
    }
    try {
      return await use(lane);
    } finally {
      this.#keep(lane);
      giveBack();
      if (options.own === true) this.#openAhead(before);
    }
  }

  /** As `use`, with a lane that nobody uses; undefined when there is none, without waiting or opening one. */
  async useIdle<T>(use: (lane: Lane) => Promise<T>): Promise<T | undefined> {
    const lane = this.#takeIdle();
    if (lane === undefined) return undefined;
    try {
      return await use(lane);
    } finally {
      this.#keep(lane);
    }
  }

  /** Closes every lane, also those that are just opening, and those whose commands left processes behind. */
  close(): void {
    this.#closings += 1;
    for (const lane of this.#all) lane.close();
    this.#all.clear();
    this.#idle.length = 0;
  }

  async #takeSlot(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (this.#taken < this.#most) {
      this.#taken += 1;
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    try {
      await unlessAborted(promise, signal);
    } catch (error) {
      const place = this.#waiting.indexOf(resolve);
      if (place >= 0) this.#waiting.splice(place, 1);
      else this.#freeSlot();
      throw error;
    }
  }

  /** A slot goes to whoever waits longest without being free in between, so that nobody can come before them. */
  #freeSlot(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#taken -= 1;
  }

  async #get({ fresh = false, own = false, urgent = false }: UseOptions): Promise<Lane> {
    for (;;) {
      const idle = fresh ? undefined : this.#takeIdle(own);
      if (idle) return idle;
      const spare = own ? this.#spare : undefined;
      if (spare) {
        this.#spare = undefined;
        await spare;
        continue;
      }
      if (urgent || this.#opening < mostOpening) return this.#openAnother();
      await new Promise<void>((resolve) => this.#wanting.push(resolve));
    }
  }

  #takeIdle(own = false): Lane | undefined {
    for (let place = this.#idle.length - 1; place >= 0; place -= 1) {
      if (own && this.#idle[place] === this.#first) continue;
      const [lane] = this.#idle.splice(place, 1);
      if (lane?.usable === true) return lane;
    }
    return undefined;
  }

  /** Who uses up a second lane will use up more: the next is opened before it is asked for, while nobody waits for it. */
  #openAhead(closings: number): void {
    this.#owned += 1;
    if (this.#owned < ownedBeforeAhead || closings !== this.#closings || this.#spare || this.#opening > 0) return;
    if (this.#idle.some((lane) => lane.usable && lane !== this.#first)) return;
    const spare = this.#openAnother().then((lane) => this.#keep(lane), ignore);
    this.#spare = spare;
    void spare.then(() => {
      if (this.#spare === spare) this.#spare = undefined;
    });
  }

  async #openAnother(): Promise<Lane> {
    this.#opening += 1;
    try {
      const before = this.#closings;
      return await this.#open((lane) => {
        this.#all.add(lane);
        lane.onLost(() => this.#all.delete(lane));
        if (before !== this.#closings) lane.close();
      });
    } finally {
      this.#opening -= 1;
      this.#wanting.shift()?.();
    }
  }

  #keep(lane: Lane): void {
    if (lane.usable && this.#idle.length < mostIdle) this.#idle.push(lane);
    else if (lane.usable) lane.close();
    this.#wanting.shift()?.();
  }
}

async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

const ignore = (): void => undefined;
