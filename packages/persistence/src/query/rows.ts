export type Cell = string | number | null;
/** A row as its cells, in an order of columns that is known elsewhere: many are read and written without their names. */
export type Row = readonly Cell[];

/** Rows of one table, to be put in as they are. */
export interface RowsToLoad {
  readonly table: string;
  /** What the cells of each row are for; columns that are not named get what the table gives them. */
  readonly columns: readonly string[];
  readonly rows: Iterable<Row>;
}

/** A table or column name of ours. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
