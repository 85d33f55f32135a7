/** The values of one invocation, checked and converted by their forms. */
export class Input {
  readonly #values: ReadonlyMap<string, unknown>;

  constructor(values: ReadonlyMap<string, unknown>) {
    this.#values = values;
  }

  /** A value that the command's table says is always there. */
  text(name: string): string {
    return this.#values.get(name) as string;
  }

  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the form of the option fixes the type
  get<T>(name: string): T | undefined {
    return this.#values.get(name) as T | undefined;
  }

  flag(name: string): boolean {
    return this.#values.get(name) === true;
  }

  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the form of the option fixes the type
  list<T = string>(name: string): readonly T[] {
    return (this.#values.get(name) as readonly T[] | undefined) ?? [];
  }
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Leaves out members that are undefined, so that an option not named is an option absent. */
export function given<T extends object>(members: T): Given<T> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as Given<T>;
}
