import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { changePassphrase, createRootFile, openRootFile, type Unlock } from './root-file.ts';
import { inlineProcess, must } from './testing/two-sides.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'carnet-root-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const passphraseFile = (text: string, mode = 0o600, name = `p${text.length}`): Unlock => {
  const path = join(dir, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return { kind: 'file', path };
};
const process = inlineProcess();
const options = (unlock: Unlock) => ({ path: join(dir, 'root.json'), unlock, process, random: randomBytes, cost: 16_384 });

describe('sealed root', () => {
  it('opens with its passphrase, with or without a line end, and from a credential', async () => {
    must(await createRootFile(options(passphraseFile('a long enough passphrase\n'))));
    const root = must(await openRootFile(options(passphraseFile('a long enough passphrase'))));
    expect(root).toHaveLength(32);
    expect(new Set(root).size, 'random, not zeroed before it was sealed').toBeGreaterThan(8);
    passphraseFile('a long enough passphrase', 0o440, 'unit-credential');
    const credential = { kind: 'credential', directory: dir, name: 'unit-credential' } as const;
    expect(must(await openRootFile(options(credential)))).toEqual(root);
    expect(statSync(join(dir, 'root.json')).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(dir, 'root.json')).includes(root)).toBe(false);
    expect(readdirSync(dir).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('a wrong passphrase has a clear code', async () => {
    must(await createRootFile(options(passphraseFile('a long enough passphrase'))));
    expect(await openRootFile(options(passphraseFile('another long passphrase')))).toMatchObject({
      ok: false,
      code: 'ROOT_PASSPHRASE_WRONG',
    });
  });

  it('is never replaced, and two first starts at once make one', async () => {
    const unlock = passphraseFile('a long enough passphrase');
    const both = await Promise.all([createRootFile(options(unlock)), createRootFile(options(unlock))]);
    expect(both.filter(({ ok }) => ok)).toHaveLength(1);
    expect(both.find(({ ok }) => !ok)).toMatchObject({ code: 'ROOT_FILE_EXISTS' });
    expect(readdirSync(dir).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('keeps the same root under a new passphrase', async () => {
    const old = passphraseFile('a long enough passphrase');
    const to = passphraseFile('an even longer passphrase');
    must(await createRootFile(options(old)));
    const root = must(await openRootFile(options(old)));
    must(await changePassphrase({ ...options(old), to }));
    expect(must(await openRootFile(options(to)))).toEqual(root);
    expect(await openRootFile(options(old))).toMatchObject({ code: 'ROOT_PASSPHRASE_WRONG' });
  });

  it.each([
    ['missing file', () => undefined, 'ROOT_FILE_MISSING'],
    ['not JSON', (path: string) => writeFileSync(path, '{', { mode: 0o600 }), 'ROOT_FILE_INVALID'],
    ['readable by others', (path: string) => chmodSync(path, 0o644), 'ROOT_FILE_EXPOSED'],
    [
      'a cost that would take all memory',
      (path: string) => edit(path, (text) => text.replace('16384', '1073741824')),
      'ROOT_FILE_INVALID',
    ],
    ['a cost that was lowered', (path: string) => edit(path, (text) => text.replace('16384', '1024')), 'ROOT_FILE_INVALID'],
    ['another legal cost', (path: string) => edit(path, (text) => text.replace('16384', '32768')), 'ROOT_PASSPHRASE_WRONG'],
    ['an unknown field', (path: string) => edit(path, (text) => text.replace('{', '{"x":1,')), 'ROOT_FILE_INVALID'],
    ['a huge file', (path: string) => writeFileSync(path, Buffer.alloc(5_000), { mode: 0o600 }), 'ROOT_FILE_INVALID'],
  ])('%s is refused', async (name, damage, code) => {
    const unlock = passphraseFile('a long enough passphrase');
    if (name !== 'missing file') must(await createRootFile(options(unlock)));
    damage(join(dir, 'root.json'));
    expect(await openRootFile(options(unlock))).toMatchObject({ ok: false, code });
  });

  it.each([
    ['too short', 'short', 0o600, 'PASSPHRASE_LENGTH'],
    ['too long', 'x'.repeat(5_000), 0o600, 'PASSPHRASE_LENGTH'],
    ['readable by others', 'a long enough passphrase', 0o644, 'PASSPHRASE_EXPOSED'],
  ])('a passphrase %s is refused', async (_name, text, mode, code) => {
    expect(await createRootFile(options(passphraseFile(text, mode)))).toMatchObject({ ok: false, code });
    expect(existsSync(join(dir, 'root.json'))).toBe(false);
  });
});

function edit(path: string, change: (text: string) => string): void {
  writeFileSync(path, change(readFileSync(path, 'utf8')));
}
