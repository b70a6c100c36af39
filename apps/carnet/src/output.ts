import { stringify } from 'yaml';

export const FORMATS = ['table', 'json', 'jsonl', 'yaml', 'csv', 'value'] as const;
export type Format = (typeof FORMATS)[number];

/** One column: its name, and what stands in a row's cell. Rows keep all their fields in json, jsonl and yaml. */
export interface Column<R> {
  readonly name: string;
  readonly cell: (row: R) => string | number | undefined;
}

export interface OutputOptions {
  readonly format: Format;
  /** Chosen columns, in this order; absent: all. */
  readonly columns?: readonly string[];
}

const quoteCsv = (cell: string): string => (/[",\n\r]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

/** Columns that were asked for, or what is wrong with the asking. */
export function chooseColumns<R>(all: readonly Column<R>[], wanted: readonly string[] | undefined): readonly Column<R>[] | { readonly unknown: string } {
  if (wanted === undefined) return all;
  const chosen: Column<R>[] = [];
  for (const name of wanted) {
    const column = all.find((one) => one.name === name);
    if (column === undefined) return { unknown: name };
    chosen.push(column);
  }
  return chosen;
}

/** Rows as text. JSON is a contract: the rows as the broker gave them, whatever columns are shown elsewhere. */
export function render<R>(rows: readonly R[], columns: readonly Column<R>[], format: Format): string {
  const cells = (): string[][] => rows.map((row) => columns.map((column) => String(column.cell(row) ?? '')));
  switch (format) {
    case 'json':
      return `${JSON.stringify(rows, undefined, 2)}\n`;
    case 'jsonl':
      return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
    case 'yaml':
      return stringify(rows, { aliasDuplicateObjects: false });
    case 'csv':
      return [columns.map((column) => column.name), ...cells()].map((line) => `${line.map(quoteCsv).join(',')}\n`).join('');
    case 'value':
      return cells().map((line) => `${line.join(' ')}\n`).join('');
    case 'table':
      return renderTable(columns.map((column) => column.name), cells());
  }
}

/** One thing as two columns, field and value. */
export function renderOne<R>(row: R, columns: readonly Column<R>[], format: Format): string {
  if (format === 'json') return `${JSON.stringify(row, undefined, 2)}\n`;
  if (format === 'yaml') return stringify(row, { aliasDuplicateObjects: false });
  if (format !== 'table') return render([row], columns, format);
  const width = Math.max(...columns.map((column) => column.name.length));
  return columns.map((column) => `${column.name.padEnd(width)}  ${column.cell(row) ?? '-'}\n`).join('');
}

function renderTable(header: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = header.map((name, i) => Math.max(name.length, ...lines.map((line) => line[i]?.length ?? 0)));
  const draw = (line: readonly string[]): string =>
    `${line.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ').trimEnd()}\n`;
  return draw(header.map((name) => name.toUpperCase())) + lines.map(draw).join('');
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** Bytes for people: `1.5 GiB`. */
export function humanBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${UNITS[power]}`;
}
