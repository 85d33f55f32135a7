import type { TableShape } from './table-shapes.ts';

export type Cell = string | number | null;
export type Row = readonly Cell[];

export interface SourceTable {
  readonly name: string;
  readonly columns: readonly string[];
  readonly rows: Iterable<Row>;
}

/** The contents of a registry, read without waiting, so that one transaction can take them in. */
export interface RowSource {
  tables(): Iterable<SourceTable>;
}

/** A registry's identity beside its rows. */
export interface SourceIdentity {
  readonly schemaVersion: number;
  readonly epoch: number;
  readonly homes: readonly string[];
}

/** The cells of a row as the driver gives it, in the order of the table's columns. */
export function cellsOf(row: Readonly<Record<string, unknown>>, shape: Pick<TableShape, 'columns'>): Row {
  return shape.columns.map((column) => row[column] as Cell);
}
