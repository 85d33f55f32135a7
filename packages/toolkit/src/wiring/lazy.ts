/** Something that is made when first needed, once. A failure is not kept: the next call tries again. */
export interface Lazy<T> {
  (): Promise<T>;
  /** What was made, without making it. */
  peek(): Promise<T> | undefined;
}

export function lazy<T>(make: () => Promise<T>): Lazy<T> {
  let made: Promise<T> | undefined;
  const get = (): Promise<T> =>
    (made ??= make().catch((error: unknown) => {
      made = undefined;
      throw error;
    }));
  return Object.assign(get, { peek: () => made });
}

type MethodNames<T> = {
  [K in keyof T]-?: T[K] extends (...args: never[]) => Promise<unknown> ? K : never;
}[keyof T];

/**
 * Makes a stand-in for a port whose methods are all asynchronous; the first call loads the port itself.
 *
 * @param names the methods to offer; the compiler sees to it that none is left out where the port is wanted
 */
export function lazyMethods<T extends object, const K extends MethodNames<T>>(
  load: () => Promise<T>,
  names: readonly K[],
): Pick<T, K> {
  const methods = names.map((name) => [
    name,
    async (...args: unknown[]) => {
      const port = await load();
      const method = port[name] as (...args: unknown[]) => Promise<unknown>;
      return await method.apply(port, args);
    },
  ]);
  return Object.fromEntries(methods) as Pick<T, K>;
}
