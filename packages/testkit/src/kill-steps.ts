type Method = (...args: unknown[]) => unknown;

/**
 * Counts the steps of a process, the moments before and after any call that changes something, and ends the process by a signal at one of
 * them. Of its own, since child processes need it without a test runner.
 */
export class KillSteps {
  readonly #at: number;
  readonly #signal: string;
  #count = 0;
  /** While false, steps are neither counted nor killed at. */
  counting = true;

  /** @param at the first step is 1; 0 and NaN kill at none */
  constructor(at: number, signal = 'SIGKILL') {
    this.#at = at;
    this.#signal = signal;
  }

  get count(): number {
    return this.#count;
  }

  pass(): void {
    if (!this.counting) return;
    this.#count += 1;
    if (this.#count === this.#at) process.kill(process.pid, this.#signal);
  }

  /** Makes calls of the named methods two steps each, for everybody who calls them on this object. */
  into(target: object, names: readonly string[]): void {
    const methods = target as Record<string, Method>;
    for (const name of names) methods[name] = this.#stepped(target, methods[name] as Method);
  }

  /** The same for those who are given what this returns; everything else is passed on. */
  around<T extends object>(target: T, names: readonly (keyof T)[]): T {
    return new Proxy(target, {
      get: (object, member) => {
        const value: unknown = Reflect.get(object, member, object);
        if (typeof value !== 'function') return value;
        const isStep = names.includes(member as keyof T);
        return isStep ? this.#stepped(object, value as Method) : (value.bind(object) as unknown);
      },
    });
  }

  #stepped(target: object, method: Method): Method {
    return (...args) => {
      this.pass();
      const result = Reflect.apply(method, target, args);
      if (result instanceof Promise) return result.finally(() => this.pass());
      this.pass();
      return result;
    };
  }
}
