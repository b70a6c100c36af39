import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type Column, FORMATS, humanBytes, render, renderOne } from './output.ts';
import { paintFor } from './paint.ts';

interface Row {
  readonly name: string;
  readonly size?: number;
  readonly hidden: readonly string[];
}
const columns: readonly Column<Row>[] = [
  { name: 'name', cell: (row) => row.name, tone: (row) => (row.name === 'a' ? 'good' : undefined) },
  { name: 'size', cell: (row) => row.size },
];
const rows: readonly Row[] = [
  { name: 'a', size: 10, hidden: ['x'] },
  { name: 'long, "quoted"', hidden: [] },
];

describe('formats', () => {
  it.each(FORMATS)('%s of many and of one', async (format) => {
    expect(await render(rows, columns, format)).toMatchSnapshot('many');
    const [row] = rows;
    if (row !== undefined) expect(await renderOne(row, columns, format)).toMatchSnapshot('one');
  });

  it('json, jsonl and yaml carry whole rows', async () => {
    expect(JSON.parse(await render(rows, columns, 'json'))).toEqual(rows);
    const lines = (await render(rows, columns, 'jsonl')).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(rows);
    expect(parse(await render(rows, columns, 'yaml'))).toEqual(rows);
  });

  it('a cell cannot make a terminal do anything', async () => {
    const evil = [{ name: '\u001b]0;owned\u0007\nroot', hidden: [] }];
    for (const format of ['table', 'csv', 'value'] as const)
      expect(await render(evil, columns, format)).not.toMatch(/[\u001b\u0007\u202e]/);
  });
});

describe('colours', () => {
  it.each([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: '1' }, false],
    [true, { NO_COLOR: '' }, true],
    [true, { TERM: 'dumb' }, false],
  ])('on a terminal: %s, with %j: %s', async (terminal, environment, coloured) => {
    const text = await render(rows, columns, 'table', paintFor(terminal, environment));
    expect(text.includes('\u001b[32ma\u001b[0m')).toBe(coloured);
  });

  it('do not move columns', async () => {
    const painted = await render(rows, columns, 'table', paintFor(true, {}));
    // biome-ignore lint/complexity/useRegexLiterals: the escape is clearer so
    expect(painted.replaceAll(new RegExp('\u001b\\[\\d+m', 'g'), '')).toBe(await render(rows, columns, 'table'));
  });
});

it.each([
  [0, '0 B'],
  [1_023, '1023 B'],
  [1_536, '1.5 KiB'],
  [10 * 1_048_576, '10 MiB'],
  [5e15, '4547 TiB'],
])('%i bytes for people: %s', (bytes, text) => expect(humanBytes(bytes)).toBe(text));
