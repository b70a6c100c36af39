import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { digestOf, PROGRAMS, programFile, programFolder, programsBuilt, stampFile } from './programs.mjs';

const dir = mkdtempSync(join(tmpdir(), 'carnet-programs-'));
afterAll(() => rmSync(dir, { recursive: true }));

const INPUTS = ['libs/a.ts', 'package-lock.json'];
const write = (file, text) => {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
};

const stampOf = (root) =>
  Object.fromEntries(Object.keys(PROGRAMS).map((name) => [name, { inputs: INPUTS, digest: digestOf(root, INPUTS) }]));

/** A clone whose programs were just built. */
function clone(name) {
  const root = join(dir, name);
  for (const input of INPUTS) write(join(root, input), `of ${input}`);
  for (const program of Object.keys(PROGRAMS)) write(programFile(root, program), '');
  write(stampFile(programFolder(root)), JSON.stringify(stampOf(root)));
  return root;
}

describe('programs', () => {
  test('are built while their sources are what they were, also in a copy', () => {
    const root = clone('whole');
    expect(programsBuilt(root)).toBe(true);
    cpSync(root, join(dir, 'copy'), { recursive: true });
    expect(programsBuilt(join(dir, 'copy'))).toBe(true);
  });

  test.each([
    ['a source changed', (root) => write(join(root, 'libs/a.ts'), 'other')],
    ['a source is gone', (root) => rmSync(join(root, 'libs/a.ts'))],
    ['packages changed', (root) => write(join(root, 'package-lock.json'), 'other')],
    ['a program is gone', (root) => rmSync(programFile(root, 'key-child'))],
    [
      'a program is new',
      (root) => write(stampFile(programFolder(root)), JSON.stringify({ ...stampOf(root), broker: undefined })),
    ],
    ['a build was cut short', (root) => rmSync(stampFile(programFolder(root)))],
    ['nothing was ever built', (root) => rmSync(programFolder(root), { recursive: true })],
  ])('are to be built: %s', (name, change) => {
    const root = clone(name);
    change(root);
    expect(programsBuilt(root)).toBe(false);
  });
});
