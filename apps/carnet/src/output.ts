import { type Paint, plain, type Tone } from './paint.ts';

export const FORMATS = ['table', 'json', 'jsonl', 'yaml', 'csv', 'value'] as const;
export type Format = (typeof FORMATS)[number];

/** One column: its name, and what stands in a row's cell. Rows keep all their fields in json, jsonl and yaml. */
export interface Column<R> {
  readonly name: string;
  /** Several lines where one thing is shown as a table; elsewhere they stand in one cell. */
  readonly cell: (row: R) => string | number | readonly string[] | undefined;
  readonly tone?: (row: R) => Tone | undefined;
}

interface Cell {
  readonly text: string;
  readonly tone: Tone | undefined;
}

const quoteCsv = (cell: string): string => (/[",\n\r]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

/** Columns that were asked for, or what is wrong with the asking. */
export function chooseColumns<R>(
  all: readonly Column<R>[],
  wanted: readonly string[] | undefined,
): readonly Column<R>[] | { readonly unknown: string } {
  if (wanted === undefined) return all;
  const chosen: Column<R>[] = [];
  for (const name of wanted) {
    const column = all.find((one) => one.name === name.trim());
    if (column === undefined) return { unknown: name };
    chosen.push(column);
  }
  return chosen;
}

/** Rows as text. JSON is a contract: the rows as the broker gave them, whatever columns are shown elsewhere. */
export async function render<R>(
  rows: readonly R[],
  columns: readonly Column<R>[],
  format: Format,
  paint: Paint = plain,
): Promise<string> {
  switch (format) {
    case 'json':
      return `${JSON.stringify(rows, undefined, 2)}\n`;
    case 'jsonl':
      return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
    case 'yaml':
      return yaml(rows);
    case 'csv':
      return csvHeader(columns) + rows.map((row) => `${textsOf(row, columns).map(quoteCsv).join(',')}\n`).join('');
    case 'value':
      return rows.map((row) => `${textsOf(row, columns).join(' ')}\n`).join('');
    case 'table':
      return renderTable(rows, columns, paint);
  }
}

/** One thing: in a table as field and value, else as a row of its own. */
export async function renderOne<R>(row: R, columns: readonly Column<R>[], format: Format, paint: Paint = plain): Promise<string> {
  if (format === 'json') return `${JSON.stringify(row, undefined, 2)}\n`;
  if (format === 'yaml') return yaml(row);
  if (format !== 'table') return render([row], columns, format);
  const width = Math.max(...columns.map((column) => column.name.length));
  const field = (column: Column<R>): string => {
    const lines = linesOf(row, column);
    const tone = column.tone?.(row);
    return (lines.length === 0 ? ['-'] : lines)
      .map((text, i) => `${(i === 0 ? column.name : '').padEnd(width)}  ${paint(text === '' ? '-' : text, tone)}\n`)
      .join('');
  };
  return columns.map(field).join('');
}

// Loaded for those who ask for it: everyone else would wait for it, too.
async function yaml(value: unknown): Promise<string> {
  const { stringify } = await import('yaml');
  return stringify(value, { aliasDuplicateObjects: false });
}

/** Bytes that a terminal would obey instead of showing: names and reasons come from peers. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

const textsOf = <R>(row: R, columns: readonly Column<R>[]): readonly string[] =>
  columns.map((column) => cellOf(row, column).text);
const cellOf = <R>(row: R, column: Column<R>): Cell => ({
  text: linesOf(row, column).join('; '),
  tone: column.tone?.(row),
});
/** Each line by itself: a break inside a peer's text must not begin a line. */
function linesOf<R>(row: R, { cell }: Column<R>): readonly string[] {
  const value = cell(row) ?? '';
  return (typeof value === 'object' ? value : [String(value)]).map((line) => line.replaceAll(CONTROL, '�'));
}
const csvHeader = (columns: readonly { readonly name: string }[]): string =>
  `${columns.map(({ name }) => quoteCsv(name)).join(',')}\n`;

function renderTable<R>(rows: readonly R[], columns: readonly Column<R>[], paint: Paint): string {
  const lines = rows.map((row) => columns.map((column) => cellOf(row, column)));
  const header = columns.map(({ name }): Cell => ({ text: name.toUpperCase(), tone: undefined }));
  const widths = columns.map((_, i) => Math.max(...[header, ...lines].map((line) => line[i]?.text.length ?? 0)));
  const draw = (line: readonly Cell[]): string => {
    // Nothing after the last cell, so that a long last column does not wrap for the sake of blanks.
    const cells = line.map(
      ({ text, tone }, i) => paint(text, tone) + (i + 1 < line.length ? ' '.repeat((widths[i] ?? 0) - text.length) : ''),
    );
    return `${cells.join('  ').trimEnd()}\n`;
  };
  return [header, ...lines].map(draw).join('');
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** Bytes for people: `1.5 GiB`. */
export function humanBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${UNITS[power]}`;
}
