import type { Row } from '../query/rows.ts';

export type { Row } from '../query/rows.ts';

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
