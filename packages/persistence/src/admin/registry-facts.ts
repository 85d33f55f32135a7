import { type Plan, firstRow } from '../query/plan.ts';
import { quoted, raw } from './raw.ts';
import { DigestSum } from './digest-sum.ts';
import { readRows, readRowsUnordered } from './read-rows.ts';
import { type TableShape, readShapes } from './table-shapes.ts';

/** What a registry holds, for telling whether two hold the same. */
export interface RegistryFacts {
  readonly schemaVersion: number;
  readonly epoch: number;
  readonly homes: readonly string[];
  /** Rows per table. */
  readonly counts: Readonly<Record<string, number>>;
  /** Digest of all chain heads, bases and token counters. */
  readonly headsDigest: string;
  readonly records: number;
  readonly tasks: number;
}

export function* readFacts(): Plan<RegistryFacts> {
  const meta = yield* firstRow(
    raw<{ schema_version: number; epoch: number }>('select schema_version, epoch from meta'),
  );
  const shapes = yield* readShapes();
  const counts: Record<string, number> = {};
  for (const { name } of shapes) {
    const row = yield* firstRow(raw<{ total: number }>(`select count(*) as total from ${quoted(name)}`));
    counts[name] = row?.total ?? 0;
  }
  const homes: string[] = [];
  yield* readRows(shapeNamed('homes', ['home_id'], shapes), ([id]) => homes.push(String(id)));
  const heads = yield* digestRows(shapeNamed('streams', streamColumns, shapes));
  return {
    schemaVersion: meta?.schema_version ?? 0,
    epoch: meta?.epoch ?? 0,
    homes: homes.toSorted(),
    counts,
    headsDigest: heads,
    records: counts['ledger'] ?? 0,
    tasks: counts['tasks'] ?? 0,
  };
}

const streamColumns = ['stream', 'head_seq', 'head_hash', 'base_seq', 'base_hash', 'last_token'];

/**
 * Digests the rows of a table, whatever order the database gives them in: text sorts differently on different servers.
 */
export function* digestRows(shape: TableShape): Plan<string> {
  const sum = new DigestSum();
  const total = yield* readRowsUnordered(shape, (row) => sum.add(JSON.stringify(row)));
  return `${total}:${sum.text()}`;
}

function shapeNamed(name: string, columns: readonly string[], shapes: readonly TableShape[]): TableShape {
  const key = shapes.find((shape) => shape.name === name)?.key ?? columns.slice(0, 1);
  return { name, columns, key };
}

/** What two registries differ in, in words; empty when they hold the same. */
export function differences(expected: RegistryFacts, found: RegistryFacts): readonly string[] {
  const problems: string[] = [];
  for (const [name, count] of Object.entries(expected.counts)) {
    const other = found.counts[name] ?? 0;
    if (other !== count) problems.push(`${name} has ${other} rows instead of ${count}`);
  }
  if (expected.headsDigest !== found.headsDigest) problems.push('the heads of the chains differ');
  if (expected.homes.join() !== found.homes.join()) problems.push('it belongs to another home');
  return problems;
}
