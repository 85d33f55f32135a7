import { nearestName } from '../../domain/nearest-name.ts';
import { invalid } from '../validate.ts';

/**
 * What an argument of a verb has to be, for callers whose arguments no compiler has seen. It accepts at least every value of `T`; what
 * a text or a number may be in detail is for the verb to say.
 */
export interface Shape<in T> {
  /** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` naming the argument, what it is, and what it has to be */
  check(argument: string, value: unknown): void;
  readonly takes?: (value: T) => void;
}

/** A shape for each member, those that may be absent too: a member that is missing here does not compile. */
export type Members<T> = { readonly [K in keyof T]-?: Shape<T[K]> };

export const text = shape<string>('text', (value) => typeof value === 'string');
export const number = shape<number>('a number', (value) => typeof value === 'number');
export const flag = shape<boolean>('true or false', (value) => typeof value === 'boolean');
export const bytes = shape<Uint8Array>('a Uint8Array', (value) => value instanceof Uint8Array);
export const callback = shape<(...given: never) => unknown>('a function', (value) => typeof value === 'function');
/** One whose members the verb looks at. */
export const anObject = shape<object>('an object', (value) => typeof value === 'object' && value !== null);
export const stream = shape<AsyncIterable<Uint8Array>>('a stream of bytes', isStream);
export const bytesOrStream = shape<Uint8Array | AsyncIterable<Uint8Array>>(
  'a Uint8Array or a stream of bytes',
  (value) => value instanceof Uint8Array || isStream(value),
);

export function among<T extends string>(accepted: readonly T[]): Shape<T> {
  return shape(`one of: ${accepted.join(', ')}`, (value) => accepted.includes(value as T));
}

export function shape<T>(accepted: string, accepts: (value: unknown) => boolean): Shape<T> {
  return {
    check: (argument, value) => {
      if (!accepts(value)) throw invalid(argument, describe(value), `Give ${accepted}.`);
    },
  };
}

export function optional<T>(inner: Shape<T>): Shape<T | undefined> {
  return { check: (argument, value) => void (value === undefined || inner.check(argument, value)) };
}

export function orNull<T>(inner: Shape<T>): Shape<T | null> {
  return { check: (argument, value) => void (value === null || inner.check(argument, value)) };
}

export function list<T>(inner: Shape<T>): Shape<readonly T[]> {
  const whole = shape('a list', Array.isArray);
  return {
    check: (argument, value) => {
      whole.check(argument, value);
      for (const [index, one] of (value as readonly unknown[]).entries()) inner.check(`${argument}[${index}]`, one);
    },
  };
}

/** Any names, each with a value of the same shape. */
export function record<T>(inner: Shape<T>): Shape<Readonly<Record<string, T>>> {
  return {
    check: (argument, value) => {
      anObject.check(argument, value);
      for (const [name, one] of Object.entries(value as object)) inner.check(`${argument}.${name}`, one);
    },
  };
}

/** An object of these members and no other; one that is undefined counts as absent. */
export function members<T extends object>(shapes: Members<NoInfer<T>>, hint: Hint = noHint): Shape<T> {
  return withMembers(shapes, (argument, name) => `${argument}.${name}`, hint);
}

/** Members that are arguments of the verb by themselves. */
export function options<T extends object>(shapes: Members<NoInfer<T>>): Shape<T> {
  return withMembers(shapes, (_, name) => name, noHint);
}

/** What to say of an unknown member in place of which ones there are. */
type Hint = (unknown: string) => string | undefined;

const noHint: Hint = () => undefined;

function withMembers<T extends object>(
  shapes: Members<T>,
  named: (argument: string, name: string) => string,
  hint: Hint,
): Shape<T> {
  const known = Object.keys(shapes);
  return {
    check: (argument, value) => {
      anObject.check(argument, value);
      const given = value as Readonly<Record<string, unknown>>;
      for (const name of Object.keys(given)) {
        if (given[name] === undefined || Object.hasOwn(shapes, name)) continue;
        throw invalid(named(argument, name.slice(0, 80)), 'is not known', hint(name) ?? knownOnes(name, known));
      }
      for (const name of known) shapes[name as keyof T].check(named(argument, name), given[name]);
    },
  };
}

type Tagged<T, K extends keyof T> = {
  readonly [V in T[K] & string]: Members<Omit<Extract<T, Readonly<Record<K, V>>>, K>>;
};

/** An object whose other members depend on one that says of which kind it is. */
export function tagged<T extends object, K extends keyof T & string>(
  tag: K,
  kinds: Tagged<NoInfer<T>, NoInfer<K>>,
): Shape<T> {
  const known = among(Object.keys(kinds));
  const shapes = new Map(
    Object.entries<Members<object>>(kinds).map(([kind, others]) => [kind, members<object>({ ...others, [tag]: text })]),
  );
  return {
    check: (argument, value) => {
      anObject.check(argument, value);
      const kind = (value as Readonly<Record<string, unknown>>)[tag];
      known.check(`${argument}.${tag}`, kind);
      shapes.get(kind as string)?.check(argument, value);
    },
  };
}

function knownOnes(name: string, known: readonly string[]): string {
  const near = nearestName(name, known);
  const names = known.length === 0 ? 'Nothing is known here.' : `Known are: ${known.join(', ')}.`;
  return near === undefined ? names : `Did you mean ${near}? ${names}`;
}

function describe(value: unknown): string {
  if (value === undefined) return 'is missing';
  if (Array.isArray(value)) return 'is a list';
  if (typeof value === 'string') return `is ${JSON.stringify(value.slice(0, 80))}`;
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return `is ${value}`;
  return `is ${typeof value === 'object' ? 'an object' : `a ${typeof value}`}`;
}

function isStream(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}
