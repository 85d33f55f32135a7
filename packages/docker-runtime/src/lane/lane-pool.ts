import type { Lane } from './lane.ts';

const mostLanes = 8;

export interface UseOptions {
  /** Opens a new lane even when one is idle. */
  readonly fresh?: boolean;
  /** Does not wait for one of the eight. */
  readonly urgent?: boolean;
}

/** Lanes to one sandbox: opened as commands overlap, kept for the next command, at most eight; further commands wait. */
export class LanePool {
  readonly #open: () => Promise<Lane>;
  readonly #idle: Lane[] = [];
  readonly #all = new Set<Lane>();
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  constructor(open: () => Promise<Lane>) {
    this.#open = open;
  }

  /** Adds a lane that is open already. */
  add(lane: Lane): void {
    this.#all.add(lane);
    this.#idle.push(lane);
  }

  /** Lends a lane for the time of `use`; it is taken back unless it broke or was used up. */
  async use<T>(use: (lane: Lane) => Promise<T>, options: UseOptions = {}): Promise<T> {
    while (this.#taken >= mostLanes && !options.urgent)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#taken += 1;
    try {
      const lane = (options.fresh ? undefined : this.#takeIdle()) ?? (await this.#openNew());
      try {
        return await use(lane);
      } finally {
        if (lane.usable) this.#idle.push(lane);
      }
    } finally {
      this.#taken -= 1;
      this.#waiting.shift()?.();
    }
  }

  /** Closes every lane, also those whose commands left processes behind. */
  close(): void {
    for (const lane of this.#all) lane.close();
    this.#all.clear();
    this.#idle.length = 0;
  }

  #takeIdle(): Lane | undefined {
    for (let lane = this.#idle.pop(); lane; lane = this.#idle.pop()) if (lane.usable) return lane;
    return undefined;
  }

  async #openNew(): Promise<Lane> {
    const lane = await this.#open();
    this.#all.add(lane);
    lane.onLost(() => this.#all.delete(lane));
    return lane;
  }
}
