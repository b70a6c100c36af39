import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXPORT_LINE_BYTES_MAX, EXPORT_NOTES_MAX } from '@carnet/events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readExport } from './read-export.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'carnet-export-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

const header = JSON.stringify({
  carnet: 'ledger-export',
  v: 1,
  self: 'csp-a.example',
  exportedAt: '2026-11-24T10:00:00.000Z',
});
const event = JSON.stringify({ publisher: 'csp-a.example', audience: 'csp-b.example', envelope: 'e30=' });
const checkpoint = JSON.stringify({ checkpoint: 'a note' });
const history = JSON.stringify({ keyHistory: { n: 1 } });
const end = JSON.stringify({ carnet: 'end-of-export' });

type Part = ReturnType<typeof readExport> extends AsyncGenerator<infer P> ? P : never;
async function read(text: string): Promise<readonly Part[]> {
  const path = join(dir, 'export.jsonl');
  writeFileSync(path, text);
  const parts: Part[] = [];
  for await (const part of readExport(path)) parts.push(part);
  return parts;
}
const said = async (text: string) => (await read(text)).map((part) => (part.ok ? part.value.kind : part.code));

it('a whole export is told in its order, without the histories of keys', async () => {
  const parts = await read(`${[header, event, checkpoint, history, end].join('\n')}\n`);
  expect(parts).toEqual([
    { ok: true, value: { kind: 'header', self: 'csp-a.example' } },
    { ok: true, value: { kind: 'event', publisher: 'csp-a.example', audience: 'csp-b.example', envelope: Buffer.from('{}') } },
    { ok: true, value: { kind: 'checkpoint', note: Buffer.from('a note') } },
  ]);
});

describe('what is no whole export is refused last, whatever came before', () => {
  it.each<readonly [string, readonly string[], string]>([
    ['no line', [], 'EXPORT_TRUNCATED'],
    ['no end line', [header, event], 'EXPORT_TRUNCATED'],
    ['cut within a line', [header, event.slice(0, 40)], 'EXPORT_MALFORMED'],
    ['no header', [event, end], 'EXPORT_MALFORMED'],
    ['a header twice', [header, header, end], 'EXPORT_MALFORMED'],
    ['a field more', [header, event.replace('{', '{"more":1,'), end], 'EXPORT_MALFORMED'],
    ['something after the end', [header, end, event], 'EXPORT_MALFORMED'],
    ['an empty line', [header, '', end], 'EXPORT_MALFORMED'],
    ['a line that never ends', [header, 'x'.repeat(EXPORT_LINE_BYTES_MAX * 2)], 'EXPORT_MALFORMED'],
    ['a flood of checkpoints', [header, ...Array<string>(EXPORT_NOTES_MAX + 1).fill(checkpoint), end], 'EXPORT_MALFORMED'],
  ])('%s', async (_, lines, code) => {
    const all = await said(lines.join('\n'));
    expect(all.at(-1)).toBe(code);
    expect(all.slice(0, -1)).not.toContain(code);
  });
});
