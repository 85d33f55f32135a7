import type { Compilable } from 'kysely';
import type { Statement } from './plan.ts';
import type { EngineName, Traits } from './traits.ts';

/** Stands for an argument while a query is compiled. */
class Slot {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

type SlotOf<A> = <K extends keyof A & string>(name: K) => A[K];

interface Compiled {
  readonly sql: string;
  readonly name: string;
  readonly parameters: readonly unknown[];
}

let made = 0;

/**
 * Makes a statement that is compiled once per database and afterwards only filled in: building a query costs more than
 * running a point read.
 */
export function template<A>() {
  return <R>(build: (traits: Traits, slot: SlotOf<A>) => Compilable<R>): ((args: A) => Statement<R>) => {
    const compiled = new Map<EngineName, Compiled>();
    const name = `oct_${(made += 1)}`;
    const slot = ((key: string) => new Slot(key)) as unknown as SlotOf<A>;
    const compile = (traits: Traits): Compiled => {
      const { sql, parameters } = build(traits, slot).compile();
      const entry = { sql, name, parameters };
      compiled.set(traits.engine, entry);
      return entry;
    };
    return (args) => ({
      compile: (traits) => {
        const entry = compiled.get(traits.engine) ?? compile(traits);
        return { sql: entry.sql, name: entry.name, parameters: fill(entry.parameters, args as never) };
      },
    });
  };
}

const mostShapes = 500;

/**
 * Makes statements whose text depends on which arguments are given, never on what they are: each shape is compiled once.
 *
 * @param build gets the arguments by name as slots, and decides by the shape alone
 */
export function shapedTemplate<S, R>(
  build: (traits: Traits, shape: S, slot: (name: string) => string) => Compilable<R>,
): (shape: S, args: Readonly<Record<string, unknown>>) => Statement<R> {
  const shapes = new Map<string, (args: Readonly<Record<string, unknown>>) => Statement<R>>();
  return (shape, args) => {
    const key = JSON.stringify(shape);
    const found = shapes.get(key);
    if (found !== undefined) return found(args);
    if (shapes.size >= mostShapes) shapes.clear();
    const made = template<Record<string, string>>()((traits, slot) => build(traits, shape, slot)) as (
      args: Readonly<Record<string, unknown>>,
    ) => Statement<R>;
    shapes.set(key, made);
    return made(args);
  };
}

function fill(parameters: readonly unknown[], args: Readonly<Record<string, unknown>>): readonly unknown[] {
  return parameters.map((parameter) => (parameter instanceof Slot ? args[parameter.name] : parameter));
}
