import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { appendDurably, writeAll, writeDurably } from './durable.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-durable-'));
afterAll(() => rmSync(dir, { recursive: true }));
const file = join(dir, 'file');

describe('a durable write', () => {
  it('goes on where the system took less than it was given', () => {
    const fd = openSync(join(dir, 'short'), 'w');
    const short = (to: number, bytes: Uint8Array, at: number): number => writeSync(to, bytes, at, Math.min(3, bytes.length - at));
    writeAll(fd, 'eleven chars', short);
    closeSync(fd);
    expect(readFileSync(join(dir, 'short'), 'utf8')).toBe('eleven chars');
  });

  it('is private unless told otherwise, takes a crash’s draft over, and leaves nothing beside', () => {
    rmSync(join(dir, 'short'), { force: true });
    writeFileSync(`${file}.new`, 'left by a crash', { mode: 0o666 });
    writeDurably(file, 'one');
    expect([readFileSync(file, 'utf8'), statSync(file).mode & 0o777]).toEqual(['one', 0o600]);
    writeDurably(file, Uint8Array.of(50), { mode: 0o644 });
    expect([readFileSync(file, 'utf8'), statSync(file).mode & 0o777]).toEqual(['2', 0o644]);
    expect(readdirSync(dir)).toEqual(['file']);
  });

  it('appends after what counts', () => {
    writeFileSync(file, 'whole\ntor');
    appendDurably(file, 6, 'next\n');
    expect(readFileSync(file, 'utf8')).toBe('whole\nnext\n');
  });
});
