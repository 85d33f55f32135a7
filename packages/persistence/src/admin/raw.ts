import type { EngineName } from '../query/traits.ts';
import type { Statement } from '../query/plan.ts';

/** A statement as text, for what no query builder knows: schema, introspection, bulk rows. */
export function raw<R = Readonly<Record<string, unknown>>>(
  sql: string,
  parameters: readonly unknown[] = [],
): Statement<R> {
  return { compile: () => ({ sql, parameters, name: null }) };
}

/** A statement whose text differs between the databases. */
export function rawPer<R = Readonly<Record<string, unknown>>>(
  texts: Readonly<Record<EngineName, string>>,
  parameters: readonly unknown[] = [],
): Statement<R> {
  return { compile: ({ engine }) => ({ sql: texts[engine], parameters, name: null }) };
}

/** Placeholders from the first on: `?, ?` or `$1, $2`. */
export function placeholders(engine: EngineName, count: number, first = 1): string {
  return Array.from({ length: count }, (_, index) => (engine === 'sqlite' ? '?' : `$${first + index}`)).join(', ');
}

/** A statement made of pieces of text with an argument between each two. */
export function withArguments<R = unknown>(engine: EngineName, pieces: readonly string[], values: readonly unknown[]) {
  const marks = placeholders(engine, values.length).split(', ');
  const text = pieces.map((piece, index) => (index < values.length ? piece + (marks[index] ?? '') : piece)).join('');
  return raw<R>(text, values);
}

export { quoted } from '../query/rows.ts';
