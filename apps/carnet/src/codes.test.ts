import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { catalogue } from './codes.ts';

const known = new Set(catalogue.map(({ code }) => code));

/** Code literals in the refusals of a folder's sources: `refuse('CODE'`, `code: 'CODE'`, `VerbError(EXIT.x, 'CODE'`. */
function codesIn(folder: string): ReadonlyMap<string, string> {
  const root = join(import.meta.dirname, '../../..', folder);
  const found = new Map<string, string>();
  for (const file of globSync('**/*.ts', { cwd: root }).filter((name) => !/\.test\.ts$|testing\//.test(name))) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const [, code = ''] of text.matchAll(/(?:\brefuse\w*\(|\bcode: |VerbError\(EXIT\.\w+, )'([A-Z][A-Z0-9_]{2,})'/g))
      found.set(code, `${folder}/${file}`);
  }
  return found;
}

describe('carnet error', () => {
  it.each([
    'apps/broker/src',
    'apps/carnet/src',
    'apps/audit/src',
    'libs/publisher/src',
  ])('knows every code that %s refuses with', (folder) => {
    const codes = codesIn(folder);
    expect(codes.size).toBeGreaterThan(2);
    expect([...codes].filter(([code]) => !known.has(code)).map(([code, file]) => `${code} in ${file}`)).toEqual([]);
  });

  it('says what each means and what to do', () => {
    for (const { code, text, advice } of catalogue) {
      expect(code).toMatch(/^[A-Z][A-Z0-9_]{2,63}$/);
      expect(text.length, code).toBeGreaterThan(3);
      expect(advice.length, code).toBeGreaterThan(3);
    }
  });

  it('names no part twice for one code', () => {
    const pairs = catalogue.map(({ from, code }) => `${from} ${code}`);
    expect(new Set(pairs).size).toBe(pairs.length);
  });
});
