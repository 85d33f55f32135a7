import type { Compilable } from 'kysely';
import type { Row, RowsToLoad } from './rows.ts';
import type { Traits } from './traits.ts';

type NamedRow = Readonly<Record<string, unknown>>;

/** What a statement gave: rows of a reading one, the number of rows changed by a writing one. */
export interface Outcome {
  readonly rows: readonly NamedRow[];
  readonly changes: number;
}

interface CompiledStatement {
  readonly sql: string;
  readonly parameters: readonly unknown[];
  /** Stable name of a statement worth preparing; null for one made for a single call. */
  readonly name: string | null;
}

/** One statement with its arguments; `R` is the type of its rows. */
export interface Statement<R = NamedRow> {
  compile(traits: Traits): CompiledStatement;
  readonly rowType?: R;
}

/** Statements that are sent together and answered together. */
interface Together {
  readonly together: readonly Statement<unknown>[];
}

/** A statement whose answer is looked at when it has come; the plan goes on meanwhile. */
interface Later {
  readonly later: Statement<unknown>;
  /** Refuses an answer by throwing; the transaction is then rolled back. */
  readonly check: ((outcome: Outcome) => void) | null;
  /** Takes note of an answer; called before the transaction has ended, and not waited for before. */
  readonly see: ((outcome: Outcome) => void) | null;
}

/** Rows that are handed over one by one as they come, and kept nowhere. */
interface Scan {
  readonly scan: Statement<unknown>;
  readonly take: (row: Row) => void;
}

/** Rows of one table that are put in, taken from their source as fast as the database takes them. */
interface Load {
  readonly load: RowsToLoad;
}

type Step = Statement<unknown> | Together | Later | Scan | Load;

/**
 * A sequence of statements, each decided by the outcomes before it. SQLite runs it in one go without leaving the call,
 * PostgreSQL waits for each answer that the plan waits for; the sequence itself is written once.
 */
export type Plan<T> = Generator<Step, T, readonly Outcome[]>;

const nothing: Outcome = { rows: [], changes: 0 };

export function* allRows<R>(statement: Statement<R>): Plan<readonly R[]> {
  return outcomeRows(statement, (yield statement)[0]);
}

export function* firstRow<R>(statement: Statement<R>): Plan<R | undefined> {
  return outcomeRows(statement, (yield statement)[0])[0];
}

export function* changedRows(statement: Statement<unknown>): Plan<number> {
  return ((yield statement)[0] ?? nothing).changes;
}

/** Runs statements of which none depends on another's outcome; they run in the order given, in one round trip. */
export function* together(statements: readonly Statement<unknown>[]): Plan<readonly Outcome[]> {
  return statements.length === 0 ? [] : yield { together: statements };
}

/**
 * Runs a statement without waiting for its answer. An error of it ends the plan, at the latest before the commit.
 *
 * @param check looks at the answer, and refuses it by throwing; costs a round trip before the commit
 */
export function* later(statement: Statement<unknown>, check: Later['check'] = null): Plan<void> {
  yield { later: statement, check, see: null };
}

/**
 * Runs a statement without waiting for its answer, which is known when the plan has been committed: for what the caller of
 * the plan wants to know, and the plan itself need not.
 */
export function* noted(statement: Statement<unknown>, see: (outcome: Outcome) => void): Plan<void> {
  yield { later: statement, check: null, see };
}

/**
 * Hands every row of a reading statement to `take`, as cells in the order of its columns. However many there are, memory
 * stays the same. `take` must not run statements; it is given all rows again when the plan is run again.
 *
 * @returns how many there were
 */
export function* scanRows(statement: Statement<unknown>, take: (row: Row) => void): Plan<number> {
  return ((yield { scan: statement, take })[0] ?? nothing).changes;
}

/** The rows of a reading statement as cells. */
export function* collectRows(statement: Statement<unknown>): Plan<readonly Row[]> {
  const rows: Row[] = [];
  yield* scanRows(statement, (row) => rows.push(row));
  return rows;
}

/** Puts rows into a table by the fastest way that the database has for many. @returns how many there were */
export function* loadRows(rows: RowsToLoad): Plan<number> {
  return ((yield { load: rows })[0] ?? nothing).changes;
}

/** The rows of an outcome, as the statement types them. */
export function outcomeRows<R>(_statement: Statement<R>, outcome: Outcome | undefined): readonly R[] {
  return (outcome ?? nothing).rows as unknown as readonly R[];
}

/** What carries the steps of a plan out; `A` is an outcome, or one that comes later. */
export interface Runner<A> {
  run(statement: Statement<unknown>): A;
  scan(statement: Statement<unknown>, take: (row: Row) => void): A;
  load(rows: RowsToLoad): A;
}

/** Runs a plan to its end with a runner that answers at once. */
export function driveNow<T>(plan: Plan<T>, runner: Runner<Outcome>): T {
  try {
    let step = plan.next();
    while (step.done !== true) step = plan.next(outcomesOf(step.value, runner));
    return step.value;
  } catch (error) {
    close(plan);
    throw error;
  }
}

function outcomesOf(step: Step, runner: Runner<Outcome>): readonly Outcome[] {
  const run = (statement: Statement<unknown>) => runner.run(statement);
  if ('compile' in step) return [run(step)];
  if ('together' in step) return step.together.map(run);
  if ('scan' in step) return [runner.scan(step.scan, step.take)];
  if ('load' in step) return [runner.load(step.load)];
  const outcome = run(step.later);
  step.check?.(outcome);
  step.see?.(outcome);
  return [];
}

/** Lets a plan that nobody goes on with let go of what it holds; its transaction is rolled back whatever it still wants. */
function close(plan: Plan<unknown>): void {
  try {
    plan.return(undefined);
  } catch {
    // Why the plan ended is what its caller is told.
  }
}

/** Answers that a plan did not wait for. */
export class Unanswered {
  #waiting: { readonly outcome: Promise<Outcome>; readonly check: Later['check']; readonly see: Later['see'] }[] = [];

  add(outcome: Promise<Outcome>, check: Later['check'], see: Later['see'] = null): void {
    // Whoever settles looks at the failure; until then it must not count as unhandled.
    outcome.catch(() => undefined);
    this.#waiting.push({ outcome, check, see });
  }

  /** True when something may still be refused. */
  get checks(): boolean {
    return this.#waiting.some(({ check }) => check !== null);
  }

  /** Waits for every answer and throws the first failure or refusal. */
  async settle(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { outcome, check, see } of waiting) {
      const answer = await outcome;
      check?.(answer);
      see?.(answer);
    }
  }
}

/**
 * Runs a plan to its end with a runner that answers later and keeps the order of its calls.
 *
 * @param unanswered gets what the plan did not wait for; the caller settles it
 */
export async function driveLater<T>(
  plan: Plan<T>,
  runner: Runner<Promise<Outcome>>,
  unanswered: Unanswered,
): Promise<T> {
  try {
    let step = plan.next();
    while (step.done !== true) {
      const { value } = step;
      if ('later' in value) {
        unanswered.add(runner.run(value.later), value.check, value.see);
        step = plan.next([]);
        continue;
      }
      const answers = Promise.all(answersTo(value, runner));
      answers.catch(() => undefined);
      await unanswered.settle();
      step = plan.next(await answers);
    }
    return step.value;
  } catch (error) {
    close(plan);
    throw error;
  }
}

function answersTo(step: Exclude<Step, Later>, runner: Runner<Promise<Outcome>>): readonly Promise<Outcome>[] {
  if ('scan' in step) return [runner.scan(step.scan, step.take)];
  if ('load' in step) return [runner.load(step.load)];
  return ('together' in step ? step.together : [step]).map((statement) => runner.run(statement));
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
