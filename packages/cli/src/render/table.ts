import type { Style } from './style.ts';

export interface Column<Row> {
  readonly title: string;
  readonly align?: 'right';
  text(row: Row): string;
  paint?(row: Row, style: Style): (text: string) => string;
}

/** Lays rows out in aligned columns under a dim line of titles. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[], style: Style): string {
  const cells = rows.map((row) => columns.map((column) => column.text(row)));
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map((line) => Array.from(line[index] ?? '').length)),
  );
  const titles = columns.map((column, index) => pad(column.title, widths[index] ?? 0, column.align));
  const body = rows.map((row, line) =>
    columns
      .map((column, index) => {
        const cell = pad(cells[line]?.[index] ?? '', widths[index] ?? 0, column.align);
        return column.paint === undefined ? cell : column.paint(row, style)(cell);
      })
      .join('  ')
      .trimEnd(),
  );
  return [style.dim(titles.join('  ').trimEnd()), ...body].join('\n');
}

/** Lays facts out as `name  value`, names aligned. */
export function facts(entries: readonly (readonly [name: string, value: string])[], style: Style): string {
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries.map(([name, value]) => `${style.dim(name.padEnd(width))}  ${value}`).join('\n');
}

function pad(text: string, width: number, align: 'right' | undefined): string {
  const gap = ' '.repeat(Math.max(0, width - Array.from(text).length));
  return align === 'right' ? gap + text : text + gap;
}
