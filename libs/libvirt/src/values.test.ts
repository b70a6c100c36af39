import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { domainState } from './domain-state.ts';
import { LibvirtError } from './error.ts';
import * as flags from './flags.ts';
import {
  type Checkpoint,
  type Domain,
  readCheckpoint,
  readDomain,
  readPool,
  readSecret,
  readVolume,
  SECRET_USAGES,
  type Secret,
  type StoragePool,
  type Volume,
  writeCheckpoint,
  writeDomain,
  writePool,
  writeSecret,
  writeVolume,
} from './handles.ts';
import { NOTICE_FORMATS } from './notices.ts';
import { readRemoteError } from './remote-error.ts';
import { readParameters, type TypedParameter, writeParameters } from './typed-parameter.ts';
import { XdrReader } from './xdr-reader.ts';
import { XdrWriter } from './xdr-writer.ts';

const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'));
const int32 = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff });
const domain: fc.Arbitrary<Domain> = fc.record({ name: text, uuid: fc.uuid(), id: int32 });

function sameAfter<T>(write: (w: XdrWriter, value: T) => unknown, read: (r: XdrReader) => T) {
  return (value: T): void => {
    const writer = new XdrWriter();
    write(writer, value);
    const reader = new XdrReader(writer.bytes());
    expect(read(reader)).toEqual(value);
    reader.end();
  };
}

describe('handles', () => {
  it('survive the wire', () => {
    const secret: fc.Arbitrary<Secret> = fc.record({
      uuid: fc.uuid(),
      usageType: fc.constantFrom(...SECRET_USAGES),
      usageId: text,
    });
    const pool: fc.Arbitrary<StoragePool> = fc.record({ name: text, uuid: fc.uuid() });
    const volume: fc.Arbitrary<Volume> = fc.record({ pool: text, name: text, key: text });
    const checkpoint: fc.Arbitrary<Checkpoint> = fc.record({ name: text, domain });
    fc.assert(fc.property(domain, sameAfter(writeDomain, readDomain)));
    fc.assert(fc.property(secret, sameAfter(writeSecret, readSecret)));
    fc.assert(fc.property(pool, sameAfter(writePool, readPool)));
    fc.assert(fc.property(volume, sameAfter(writeVolume, readVolume)));
    fc.assert(fc.property(checkpoint, sameAfter(writeCheckpoint, readCheckpoint)));
  });
});

describe('typed parameters', () => {
  const parameter: fc.Arbitrary<TypedParameter> = fc.oneof(
    fc.record({ field: text, type: fc.constant('int' as const), value: int32 }),
    fc.record({ field: text, type: fc.constant('uint' as const), value: fc.integer({ min: 0, max: 0xffff_ffff }) }),
    fc.record({ field: text, type: fc.constant('double' as const), value: fc.double() }),
    fc.record({ field: text, type: fc.constant('llong' as const), value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) }),
    fc.record({ field: text, type: fc.constant('ullong' as const), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
    fc.record({ field: text, type: fc.constant('boolean' as const), value: fc.boolean() }),
    fc.record({ field: text, type: fc.constant('string' as const), value: text }),
  );

  it('survive the wire with their types', () => {
    fc.assert(fc.property(fc.array(parameter, { maxLength: 64 }), sameAfter(writeParameters, readParameters)));
  });

  it('of an unknown type end the reading', () => {
    const bytes = new XdrWriter().uint(1).string('new').int(8).int(0).bytes();
    expect(() => readParameters(new XdrReader(bytes))).toThrow(expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }));
  });
});

describe('names for numbers', () => {
  it('of a newer libvirt are unknown, not wrong', () => {
    expect(domainState(1, 1)).toEqual({ state: 'running', reason: 'booted' });
    expect(domainState(1, 999)).toEqual({ state: 'running', reason: 'unknown' });
    expect(domainState(99, 1)).toEqual({ state: 'unknown', reason: 'unknown' });
  });

  it('every flag table has one distinct bit per name', () => {
    const tables = Object.entries(flags).filter(([name]) => name.endsWith('_FLAGS'));
    expect(tables.length).toBeGreaterThan(15);
    for (const [name, table] of tables) {
      const bits: readonly number[] = typeof table === 'object' ? Object.values(table) : [];
      expect([name, bits.every((bit) => bit > 0 && (bit & (bit - 1)) === 0), new Set(bits).size]).toEqual([
        name,
        true,
        bits.length,
      ]);
    }
  });

  it('a flag word is the union of its names', () => {
    expect(flags.flagWord(flags.MIGRATE_FLAGS, ['live', 'tls', 'live'])).toBe(1 | 65_536);
    expect(flags.flagWord(flags.MIGRATE_FLAGS)).toBe(0);
  });
});

it('a remote error is read whole, and any bytes give an error of ours', () => {
  const writer = new XdrWriter().int(42).int(10).optionalString('no domain').int(2).uint(0);
  writer.uint(0).uint(0).uint(0).int(0).int(0).uint(0);
  expect(readRemoteError(new XdrReader(writer.bytes()), 'lookup')).toMatchObject({
    code: 'REMOTE',
    message: 'REMOTE: lookup: no domain',
    remote: { code: 42, domain: 10, level: 'error', message: 'no domain' },
  });
});

it('notices made of any bytes are read or refused, nothing else', () => {
  const formats = Object.values(NOTICE_FORMATS);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(...formats), (bytes, format) => {
      try {
        format.read(new XdrReader(bytes));
      } catch (error) {
        expect(error).toBeInstanceOf(LibvirtError);
      }
    }),
  );
});
