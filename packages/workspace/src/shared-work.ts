import { throwIfCancelled } from './failures.ts';

interface UnderWay<T> {
  readonly result: Promise<T>;
  readonly controller: AbortController;
  waiting: number;
}

/** Work that is done once for all who ask for it meanwhile, and that ends early when none of them waits any more. */
export class SharedWork<T> {
  readonly #underWay = new Map<string, UnderWay<T>>();

  /**
   * Waits for the work of a key, begun by the first who asks.
   *
   * @throws OpencodeToolsError `OCT_CANCELLED` at once while others wait, else once the work has ended
   */
  async join(key: string, work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    throwIfCancelled(signal);
    const shared = this.#underWay.get(key) ?? this.#begin(key, work);
    shared.waiting += 1;
    const left = Promise.withResolvers<never>();
    const leave = (): void => {
      shared.waiting -= 1;
      if (shared.waiting > 0) return left.reject(signal?.reason);
      this.#forget(key, shared);
      shared.controller.abort(signal?.reason);
    };
    signal?.addEventListener('abort', leave, { once: true });
    try {
      return await Promise.race([shared.result, left.promise]);
    } catch (error) {
      throwIfCancelled(signal);
      throw error;
    } finally {
      signal?.removeEventListener('abort', leave);
    }
  }

  #begin(key: string, work: (signal: AbortSignal) => Promise<T>): UnderWay<T> {
    const controller = new AbortController();
    const shared = { result: work(controller.signal), controller, waiting: 0 };
    this.#underWay.set(key, shared);
    const over = (): void => this.#forget(key, shared);
    shared.result.then(over, over);
    return shared;
  }

  #forget(key: string, shared: UnderWay<T>): void {
    if (this.#underWay.get(key) === shared) this.#underWay.delete(key);
  }
}
