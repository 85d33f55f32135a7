import type { OperationId } from '../../domain/ids.ts';
import type { PooledSandbox } from '../../domain/pooled-sandbox.ts';
import type { SandboxHandle } from '../../ports/sandbox-runtime.ts';
import type { Kernel } from '../kernel.ts';
import { allot } from './allot.ts';
import type { PoolOptions } from './pool-options.ts';
import { type PoolSpec, newEntry } from './pool-spec.ts';
import { discard, makeParts } from './pooled-parts.ts';

/** However many processes keep sandboxes ready, a home has no more than these that nobody has claimed. */
const mostPooled = 32;
/** A refill competes with the first commands of the sandbox that was just claimed, so it begins somewhat later. */
const refillDelayMs = 250;

/** A sandbox that can be claimed. */
export interface Offer {
  readonly entry: PooledSandbox;
  readonly handle: SandboxHandle;
  /** True when this process keeps it ready. */
  readonly own: boolean;
  /** True when it has to be woken before it takes a fence. */
  readonly paused: boolean;
}

type Found = Pick<Offer, 'handle' | 'paused'>;

interface Target {
  readonly spec: PoolSpec;
  askedAtMs: number;
}

/**
 * Sandboxes that run and wait, so that a task gets one without anything being made.
 *
 * ## Whose they are
 * Each belongs to the process that has its lane open; that process claims it at the cost of one compare-and-set. Another
 * process may claim it too, and opens a lane of its own. Whoever changes the entry's row first has it. Within a process an
 * entry is in one hand at a time, as all share the lanes: letting go of one would end the commands of a task that has it.
 *
 * ## When they are made
 * Only between `open` and `close`, which resident processes call: for what is asked of this process, the newest first, and as
 * many as `size` in all. What nobody asks for is let go after `idleMs`.
 *
 * ## What they can do before they are claimed
 * Nothing: no fence is written, and a supervisor without a fence refuses every command.
 *
 * ## When they are paused
 * Only while nobody can claim them, which is while their row does not say `ready`: a sandbox is never paused under a task. Who
 * claims one wakes it, whichever process had paused it.
 */
export class WarmPool {
  readonly #kernel: Kernel;
  readonly #options: PoolOptions;
  readonly #targets = new Map<string, Target>();
  readonly #held = new Map<OperationId, Offer>();
  /** What is being made or removed here, is on offer to a task, or has become one's. */
  readonly #spokenFor = new Set<OperationId>();
  /** The keys of what is being made or adopted: nobody makes another in its place meanwhile. */
  readonly #coming = new Map<OperationId, string>();
  #open = false;
  #round: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(kernel: Kernel, options: PoolOptions) {
    this.#kernel = kernel;
    this.#options = options;
  }

  get options(): PoolOptions {
    return this.#options;
  }

  /** Sandboxes that this process holds ready. */
  get ready(): number {
    return this.#held.size;
  }

  /** Begins to keep sandboxes ready. */
  open(): void {
    this.#open = this.#options.size > 0;
  }

  /** Notes that a sandbox like this was asked for; another one will be made ready. */
  note(spec: PoolSpec): void {
    if (!this.#open) return;
    this.#targets.set(spec.key, { spec, askedAtMs: this.#kernel.deps.clock.nowMs() });
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.refill().catch((error: unknown) => this.#warn('The pool was not refilled', error));
    }, refillDelayMs).unref();
  }

  /** True when this process wants one more of the kind. */
  wants(key: string): boolean {
    return this.#shares().some((share) => share.key === key && share.missing > 0);
  }

  /**
   * Offers sandboxes of a kind: this process's own first, then those of others. An offer is the caller's alone in this
   * process; it is given back, let go, or becomes a task's.
   */
  async *offers(key: string): AsyncGenerator<Offer> {
    for (const [id, offer] of this.#held) {
      if (offer.entry.key !== key) continue;
      this.#held.delete(id);
      this.#spokenFor.add(id);
      yield offer;
    }
    for (const entry of await this.#kernel.deps.housekeeping.listPooled()) {
      const { id, ref, state } = entry;
      if (entry.key !== key || state !== 'ready' || ref === null || this.#isInHand(id)) continue;
      this.#spokenFor.add(id);
      const found = await this.#find(ref).catch(() => undefined);
      if (found === undefined) this.#spokenFor.delete(id);
      else yield { entry, ...found, own: false };
    }
  }

  /** Takes an offer back that nobody used; one of another process stays that one's. */
  async giveBack(offer: Offer): Promise<void> {
    if (!offer.own) await this.letGo(offer);
    else if (this.#open) this.#hold(offer);
    else await this.#discard(offer);
  }

  /** Closes what is open into a sandbox that somebody else has taken. */
  async letGo({ entry, handle }: Offer): Promise<void> {
    await handle[Symbol.asyncDispose]();
    this.#spokenFor.delete(entry.id);
  }

  /** Holds a ready sandbox whose process died; the caller has made sure that it is wanted. */
  async adopt(entry: PooledSandbox): Promise<boolean> {
    if (this.#isInHand(entry.id)) return true;
    this.#spokenFor.add(entry.id);
    this.#coming.set(entry.id, entry.key);
    try {
      const found = entry.ref === null ? undefined : await this.#find(entry.ref);
      if (found === undefined) return false;
      const owned = { ...entry, owner: this.#kernel.deps.processes.self() };
      if (this.#options.mode === 'paused') return await this.#adoptPaused(owned, found);
      if (found.paused) await found.handle.unpause();
      await found.handle.connect();
      await this.#ready(owned, { ...found, paused: false });
      return true;
    } finally {
      this.#spokenFor.delete(entry.id);
      this.#coming.delete(entry.id);
    }
  }

  /** Takes an entry out of everybody's reach, opens a lane, and has it wait paused. */
  async #adoptPaused(entry: PooledSandbox, { handle, paused }: Found): Promise<boolean> {
    const taken: PooledSandbox = { ...entry, state: 'filling', version: entry.version + 1 };
    if (!(await this.#kernel.deps.housekeeping.replacePooled(taken))) return true;
    try {
      if (paused) await handle.unpause();
      await handle.connect();
      await handle.pause();
      await this.#ready(taken, { handle, paused: true });
    } catch (error) {
      await this.#discard({ entry: taken, handle });
      throw error;
    }
    return true;
  }

  /** Says in the row of an entry that it can be claimed, and holds it; unless somebody else has changed the row. */
  async #ready(entry: PooledSandbox, found: Found): Promise<void> {
    const ready: PooledSandbox = { ...entry, state: 'ready', ref: found.handle.ref, version: entry.version + 1 };
    if (await this.#kernel.deps.housekeeping.replacePooled(ready)) this.#hold({ entry: ready, ...found, own: true });
    else await found.handle[Symbol.asyncDispose]();
  }

  /** Lets go of what is broken, claimed by others or no longer asked for, and makes what is missing. One round at a time. */
  async refill(): Promise<void> {
    if (!this.#open) return;
    this.#round ??= this.#refill().finally(() => (this.#round = undefined));
    await this.#round;
  }

  /** Removes what this process holds ready. Nothing is made ready afterwards. */
  async close(): Promise<void> {
    this.#open = false;
    clearTimeout(this.#timer);
    await this.#round?.catch(() => undefined);
    const held = [...this.#held.values()];
    this.#held.clear();
    await Promise.all(held.map((offer) => this.#discard(offer)));
  }

  async #refill(): Promise<void> {
    await this.#dropLost();
    this.#forgetIdle();
    for (const { key, surplus } of this.#shares()) {
      const extra = [...this.#held.values()].filter(({ entry }) => entry.key === key).slice(0, surplus);
      for (const offer of extra) await this.#discard(offer);
    }
    for (let next = this.#next(); next !== undefined && this.#open; next = this.#next()) {
      if (!(await this.#fill(next))) return;
    }
  }

  /** What others claimed, and what the engine no longer runs: it was restarted, or somebody removed the container. */
  async #dropLost(): Promise<void> {
    if (this.#held.size + this.#spokenFor.size === 0) return;
    const before = [...this.#held];
    const spokenFor = [...this.#spokenFor];
    const rows = new Map((await this.#kernel.deps.housekeeping.listPooled()).map((entry) => [entry.id, entry]));
    for (const id of spokenFor) if (!rows.has(id)) this.#spokenFor.delete(id);
    for (const [id, offer] of before) {
      if (this.#held.get(id) !== offer) continue;
      if (rows.get(id)?.version !== offer.entry.version) {
        this.#held.delete(id);
        await this.letGo(offer);
      } else if ((await this.#stateOf(offer)) !== (offer.paused ? 'paused' : 'running')) await this.#discard(offer);
    }
  }

  #isInHand(id: OperationId): boolean {
    return this.#held.has(id) || this.#spokenFor.has(id);
  }

  #hold(offer: Offer): void {
    this.#held.set(offer.entry.id, offer);
    this.#coming.delete(offer.entry.id);
    this.#spokenFor.delete(offer.entry.id);
  }

  /** A sandbox that waits, running or paused. */
  async #find(ref: string): Promise<Found | undefined> {
    const handle = await this.#kernel.deps.runtime.find(ref);
    const state = (await handle?.inspect())?.state;
    if (handle === undefined || (state !== 'running' && state !== 'paused')) return undefined;
    return { handle, paused: state === 'paused' };
  }

  async #stateOf({ handle }: Offer): Promise<string> {
    return (await handle.inspect().catch(() => undefined))?.state ?? 'gone';
  }

  #forgetIdle(): void {
    const before = this.#kernel.deps.clock.nowMs() - this.#options.idleMs;
    for (const [key, target] of this.#targets) if (target.askedAtMs <= before) this.#targets.delete(key);
  }

  #shares() {
    const wanted = [...this.#targets.values()].sort((a, b) => b.askedAtMs - a.askedAtMs).map(({ spec }) => spec.key);
    const held = [...this.#held.values()].map(({ entry }) => entry.key);
    return allot(this.#options.size, wanted, [...held, ...this.#coming.values()]);
  }

  #next(): PoolSpec | undefined {
    const share = this.#shares().find(({ missing }) => missing > 0);
    return share && this.#targets.get(share.key)?.spec;
  }

  /** @returns false when the home has as many as it may */
  async #fill(spec: PoolSpec): Promise<boolean> {
    const { ids, processes, housekeeping } = this.#kernel.deps;
    const entry = newEntry(ids.next('operation'), spec, processes.self(), this.#kernel.now());
    this.#spokenFor.add(entry.id);
    this.#coming.set(entry.id, spec.key);
    try {
      if (!(await housekeeping.addPooled(entry, mostPooled))) return false;
      const handle = await makeParts(this.#kernel, spec, entry);
      const paused = this.#options.mode === 'paused';
      if (paused) await handle.pause();
      await this.#ready(entry, { handle, paused });
      return true;
    } catch (error) {
      this.#targets.delete(spec.key);
      await this.#discard({ entry });
      throw error;
    } finally {
      this.#spokenFor.delete(entry.id);
      this.#coming.delete(entry.id);
    }
  }

  /** What cannot be removed now is the housekeeper's, once this process is gone. */
  async #discard({ entry, handle }: Pick<Offer, 'entry'> & Partial<Offer>): Promise<void> {
    this.#held.delete(entry.id);
    this.#spokenFor.add(entry.id);
    try {
      await discard(this.#kernel, entry);
    } catch (error) {
      this.#warn('A pooled sandbox was not removed', error);
    } finally {
      await handle?.[Symbol.asyncDispose]();
      this.#spokenFor.delete(entry.id);
    }
  }

  #warn(message: string, error: unknown): void {
    this.#kernel.deps.logger.warn(message, { error: String(error) });
  }
}
