import { type Redactor, createMasking } from '@opencode-tools/core';

type Values = Readonly<Record<string, string>>;

interface Held {
  readonly values: Values;
  readonly mark: string;
  /** Those that came before: an answer may still say them. */
  readonly former: readonly Values[];
  readonly masking: (() => Redactor) | undefined;
}

const mostFormer = 8;

/** Values for headers, in memory only. */
export class Secrets {
  readonly #held = new Map<string, Held>();

  take(taskId: string, values: Values, mark: string): void {
    const before = this.#held.get(taskId);
    if (before?.mark === mark) return;
    const former = before === undefined ? [] : [before.values, ...before.former].slice(0, mostFormer);
    this.#held.set(taskId, { values, mark, former, masking: createMasking(values, ...former) });
  }

  valuesOf(taskId: string): Values {
    return this.#held.get(taskId)?.values ?? {};
  }

  markOf(taskId: string): string | undefined {
    return this.#held.get(taskId)?.mark;
  }

  /** Makes what puts stars in their place; undefined where there is nothing to look for. */
  maskingOf(taskId: string): (() => Redactor) | undefined {
    return this.#held.get(taskId)?.masking;
  }

  delete(taskId: string): void {
    this.#held.delete(taskId);
  }
}
