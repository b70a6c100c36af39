import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LibvirtError } from './error.ts';
import { STRING_BYTES_MAX } from './limits.ts';
import { XdrReader } from './xdr-reader.ts';
import { XdrWriter } from './xdr-writer.ts';

const int32 = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff });
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'));

/** Writes, reads back, and checks that the reader ends exactly where the writer did, on a word. */
function survives<T>(values: fc.Arbitrary<T>, write: (w: XdrWriter, value: T) => unknown, read: (r: XdrReader) => T): void {
  fc.assert(
    fc.property(values, (value) => {
      const writer = new XdrWriter();
      write(writer, value);
      expect(writer.bytes().length % 4).toBe(0);
      const reader = new XdrReader(writer.bytes());
      expect(read(reader)).toEqual(value);
      reader.end();
    }),
  );
}

describe('what is written is read back', () => {
  it('numbers', () => {
    survives(
      int32,
      (w, v) => w.int(v),
      (r) => r.int(),
    );
    survives(
      uint32,
      (w, v) => w.uint(v),
      (r) => r.uint(),
    );
    survives(
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      (w, v) => w.hyper(v),
      (r) => r.hyper(),
    );
    survives(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      (w, v) => w.uhyper(v),
      (r) => r.uhyper(),
    );
    survives(
      fc.double(),
      (w, v) => w.double(v),
      (r) => r.double(),
    );
  });

  it('strings, bytes, uuids, lists, absent strings', () => {
    survives(
      text,
      (w, v) => w.string(v),
      (r) => r.string(),
    );
    survives(
      fc.option(text, { nil: undefined }),
      (w, v) => w.optionalString(v),
      (r) => r.optional((o) => o.string()),
    );
    survives<Uint8Array>(
      fc.uint8Array(),
      (w, v) => w.opaque(v, 1000),
      (r) => r.opaque(1000),
    );
    survives(
      fc.uuid(),
      (w, v) => w.uuid(v),
      (r) => r.uuid(),
    );
    survives<readonly string[]>(
      fc.array(text),
      (w, v) => w.list(v, 100, (lw, s) => lw.string(s)),
      (r) => r.list(100, (lr) => lr.string()),
    );
  });

  it('agrees with RFC 4506 byte for byte', () => {
    const bytes = new XdrWriter().int(-2).string('sillyprog').uhyper(258n).bytes();
    expect(bytes.toString('hex')).toBe(`fffffffe00000009${Buffer.from('sillyprog').toString('hex')}0000000000000000000102`);
  });
});

describe('the writer refuses what does not fit', () => {
  const refused: readonly (readonly [string, (w: XdrWriter) => unknown])[] = [
    ['a fraction', (w) => w.int(1.5)],
    ['NaN', (w) => w.uint(Number.NaN)],
    ['a negative unsigned', (w) => w.uint(-1)],
    ['33 bits', (w) => w.int(2 ** 31)],
    ['65 bits', (w) => w.uhyper(2n ** 64n)],
    ['a NUL inside a string', (w) => w.string('vm1\0.evil')],
    ['a string over the limit', (w) => w.string('x'.repeat(STRING_BYTES_MAX + 1))],
    ['bytes over their limit', (w) => w.opaque(new Uint8Array(5), 4)],
    ['a list over its limit', (w) => w.list([1, 2], 1, (lw, v) => lw.int(v))],
    ['a uuid with a path in it', (w) => w.uuid('../../../../etc/passwd')],
    [
      'a message over the limit',
      (w) => {
        for (let i = 0; i < 9; i += 1) w.string('x'.repeat(STRING_BYTES_MAX));
      },
    ],
  ];
  it.each(refused)('%s', (_, write) => {
    expect(() => write(new XdrWriter())).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID', effect: 'none' }));
  });
});

describe('the reader refuses what cannot be', () => {
  const hostile: readonly (readonly [string, readonly number[], (r: XdrReader) => unknown])[] = [
    ['a string longer than the packet', [0x40_0000], (r) => r.string()],
    ['a string of 4 GiB', [0xffff_ffff], (r) => r.string()],
    ['bytes over their limit', [5, 0, 0], (r) => r.opaque(4)],
    ['a list the packet cannot hold', [1000, 1, 2], (r) => r.list(16_384, (lr) => lr.uint())],
    ['a list over its limit', [2, 1, 2], (r) => r.list(1, (lr) => lr.uint())],
    ['a bool of 2', [2], (r) => r.bool()],
    ['padding that hides bytes', [1, 0x61_00_00_01], (r) => r.string()],
    ['a NUL in a string', [2, 0x61_00_00_00], (r) => r.string()],
    ['half a number', [1], (r) => r.uhyper()],
    [
      'bytes after the last field',
      [1, 2],
      (r) => {
        r.uint();
        r.end();
      },
    ],
  ];
  it.each(hostile)('%s', (_, words, read) => {
    const writer = new XdrWriter();
    for (const word of words) writer.uint(word);
    expect(() => read(new XdrReader(writer.bytes()))).toThrow(expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }));
  });

  it('and with any bytes at all gives a value or that error, nothing else', () => {
    const readers: readonly ((r: XdrReader) => unknown)[] = [
      (r) => r.int(),
      (r) => r.hyper(),
      (r) => r.double(),
      (r) => r.string(),
      (r) => r.opaque(64),
      (r) => r.uuid(),
      (r) => r.optional((o) => o.string()),
      (r) => r.list(64, (lr) => lr.string()),
    ];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.array(fc.constantFrom(...readers), { maxLength: 6 }), (bytes, reads) => {
        const reader = new XdrReader(bytes);
        try {
          for (const read of reads) read(reader);
        } catch (error) {
          expect(error).toBeInstanceOf(LibvirtError);
        }
      }),
    );
  });

  it('a secret that was read is a copy of its own', () => {
    const packet = new XdrWriter().opaque(Uint8Array.of(1, 2, 3), 10).bytes();
    const value = new XdrReader(packet).opaque(10);
    packet.fill(9);
    expect(value).toEqual(Uint8Array.of(1, 2, 3));
    expect(value.buffer.byteLength).toBe(3);
  });
});
