import type { Compilable } from 'kysely';
import type { Traits } from './traits.ts';

type Row = Readonly<Record<string, unknown>>;

/** What a statement gave: rows of a reading one, the number of rows changed by a writing one. */
export interface Outcome {
  readonly rows: readonly Row[];
  readonly changes: number;
}

interface CompiledStatement {
  readonly sql: string;
  readonly parameters: readonly unknown[];
  /** Stable name of a statement worth preparing; null for one made for a single call. */
  readonly name: string | null;
}

/** One statement with its arguments; `R` is the type of its rows. */
export interface Statement<R = Row> {
  compile(traits: Traits): CompiledStatement;
  readonly rowType?: R;
}

/**
 * A sequence of statements, each decided by the outcomes before it. SQLite runs it in one go without leaving the call,
 * PostgreSQL waits for each answer; the sequence itself is written once.
 */
export type Plan<T> = Generator<Statement<unknown>, T, Outcome>;

export function* allRows<R>(statement: Statement<R>): Plan<readonly R[]> {
  return (yield statement).rows as unknown as readonly R[];
}

export function* firstRow<R>(statement: Statement<R>): Plan<R | undefined> {
  return (yield statement).rows[0] as R | undefined;
}

export function* changedRows(statement: Statement<unknown>): Plan<number> {
  return (yield statement).changes;
}

/** Runs a plan to its end with a function that answers at once. */
export function driveNow<T>(plan: Plan<T>, run: (statement: Statement<unknown>) => Outcome): T {
  let step = plan.next();
  while (step.done !== true) step = plan.next(run(step.value));
  return step.value;
}

/** Runs a plan to its end with a function that answers later. */
export async function driveLater<T>(
  plan: Plan<T>,
  run: (statement: Statement<unknown>) => Promise<Outcome>,
): Promise<T> {
  let step = plan.next();
  while (step.done !== true) step = plan.next(await run(step.value));
  return step.value;
}

/** A statement built for one call, for queries whose shape depends on what is asked. */
export function adHoc<R>(build: (traits: Traits) => Compilable<R>): Statement<R> {
  return {
    compile: (traits) => {
      const { sql, parameters } = build(traits).compile();
      return { sql, parameters, name: null };
    },
  };
}
