import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { exclusively } from './lock-file.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-lock-'));
afterAll(() => rmSync(dir, { recursive: true }));
const lock = join(dir, 'lock');
const busy = { code: 'AUTHORITY_BUSY', waitMs: 0 } as const;
const enter = (): string => exclusively(lock, busy, () => 'in');

describe('a lock', () => {
  it('lets nobody in twice, and is gone when its work threw', () => {
    exclusively(lock, busy, () => expect(enter).toThrow('AUTHORITY_BUSY'));
    expect(() =>
      exclusively(lock, busy, () => {
        throw new Error('work');
      }),
    ).toThrow('work');
    expect(enter()).toBe('in');
    expect(readdirSync(dir)).toEqual([]);
  });

  it.each([
    ['a process that is gone', '999999999 1\n'],
    ['our own number, before a restart', `${process.pid} 1\n`],
    ['a number that another process has now', `${process.ppid} 1\n`],
    ['nobody', ''],
  ])('of %s is taken over', (_, text) => {
    writeFileSync(lock, text);
    expect(enter()).toBe('in');
    expect(readdirSync(dir)).toEqual([]);
  });

  it('is not taken over by two: one who is at it keeps the others out', () => {
    writeFileSync(lock, '999999999 1\n');
    writeFileSync(`${lock}.takeover`, '');
    expect(enter).toThrow('AUTHORITY_BUSY');
    expect(readFileSync(lock, 'utf8')).toBe('999999999 1\n');
    rmSync(`${lock}.takeover`);
    expect(enter()).toBe('in');
  });

  // Each adds one to a number that all read and write: lost additions would show two inside at once.
  it('keeps processes apart, from the remains of a dead one on', async () => {
    const [count, rounds, workers] = [join(dir, 'count'), 40, 4];
    writeFileSync(count, '0');
    writeFileSync(lock, '999999999 1\n');
    const script = `
      import { readFileSync, writeFileSync } from 'node:fs';
      import { exclusively } from ${JSON.stringify(join(import.meta.dirname, 'lock-file.ts'))};
      for (let i = 0; i < ${rounds}; i++)
        exclusively(${JSON.stringify(lock)}, { code: 'LEAF_BUSY', waitMs: 60_000 }, () => {
          const before = Number(readFileSync(${JSON.stringify(count)}, 'utf8'));
          writeFileSync(${JSON.stringify(count)}, String(before + 1));
        });`;
    const ended = Array.from({ length: workers }, async () => {
      const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const [code] = await once(child, 'exit');
      return code;
    });
    expect(await Promise.all(ended)).toEqual(Array.from({ length: workers }, () => 0));
    expect(readFileSync(count, 'utf8')).toBe(String(rounds * workers));
    expect(existsSync(lock)).toBe(false);
  }, 60_000);
});
