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

/** Statements that are sent together and answered together. */
interface Together {
  readonly together: readonly Statement<unknown>[];
}

/** A statement whose answer is looked at when it has come; the plan goes on meanwhile. */
interface Later {
  readonly later: Statement<unknown>;
  /** Refuses an answer by throwing; the transaction is then rolled back. */
  readonly check: ((outcome: Outcome) => void) | null;
}

type Step = Statement<unknown> | Together | Later;

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
  yield { later: statement, check };
}

/** The rows of an outcome, as the statement types them. */
export function outcomeRows<R>(_statement: Statement<R>, outcome: Outcome | undefined): readonly R[] {
  return (outcome ?? nothing).rows as unknown as readonly R[];
}

/** Runs a plan to its end with a function that answers at once. */
export function driveNow<T>(plan: Plan<T>, run: (statement: Statement<unknown>) => Outcome): T {
  let step = plan.next();
  while (step.done !== true) {
    const { value } = step;
    if ('compile' in value) step = plan.next([run(value)]);
    else if ('together' in value) step = plan.next(value.together.map(run));
    else {
      const outcome = run(value.later);
      value.check?.(outcome);
      step = plan.next([]);
    }
  }
  return step.value;
}

/** Answers that a plan did not wait for. */
export class Unanswered {
  #waiting: { readonly outcome: Promise<Outcome>; readonly check: Later['check'] }[] = [];

  add(outcome: Promise<Outcome>, check: Later['check']): void {
    // Whoever settles looks at the failure; until then it must not count as unhandled.
    outcome.catch(() => undefined);
    this.#waiting.push({ outcome, check });
  }

  /** True when something may still be refused. */
  get checks(): boolean {
    return this.#waiting.some(({ check }) => check !== null);
  }

  /** Waits for every answer and throws the first failure or refusal. */
  async settle(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { outcome, check } of waiting) {
      const answer = await outcome;
      check?.(answer);
    }
  }
}

/**
 * Runs a plan to its end with a function that answers later and keeps the order of its calls.
 *
 * @param unanswered gets what the plan did not wait for; the caller settles it
 */
export async function driveLater<T>(
  plan: Plan<T>,
  run: (statement: Statement<unknown>) => Promise<Outcome>,
  unanswered: Unanswered,
): Promise<T> {
  let step = plan.next();
  while (step.done !== true) {
    const { value } = step;
    if ('later' in value) {
      unanswered.add(run(value.later), value.check);
      step = plan.next([]);
      continue;
    }
    const answers = Promise.all(('together' in value ? value.together : [value]).map(run));
    answers.catch(() => undefined);
    await unanswered.settle();
    step = plan.next(await answers);
  }
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
