import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Framer } from './framer.ts';
import { HEADER_BYTES, LENGTH_BYTES, MESSAGE_BYTES_MAX } from './limits.ts';
import { encodePacket, type Header, readHeader } from './message.ts';
import { XdrReader } from './xdr-reader.ts';

const word = fc.integer({ min: 0, max: 0x7fff_ffff });
const header: fc.Arbitrary<Header> = fc.record({
  program: word,
  version: fc.constant(1),
  procedure: word,
  type: word,
  serial: word,
  status: word,
});

it('finds the same packets however the bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(header, fc.uint8Array({ maxLength: 200 })), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 97 }), { minLength: 1, maxLength: 5 }),
      (packets, cuts) => {
        const bytes = Buffer.concat(packets.map(([head, payload]) => encodePacket(head, payload)));
        const framer = new Framer();
        const seen: unknown[] = [];
        for (let [at, turn] = [0, 0]; at < bytes.length; turn += 1) {
          const size = cuts[turn % cuts.length] ?? 1;
          for (const packet of framer.push(bytes.subarray(at, at + size))) {
            const reader = new XdrReader(packet);
            seen.push([readHeader(reader), Uint8Array.from(reader.rest())]);
          }
          at += size;
        }
        expect(seen).toEqual(packets);
      },
    ),
  );
});

it('refuses a length that no packet can have, as soon as it is stated', () => {
  const lengths = [0, 4, LENGTH_BYTES + HEADER_BYTES - 1, LENGTH_BYTES + MESSAGE_BYTES_MAX + 1, 0xffff_ffff];
  for (const length of lengths) {
    const stated = Buffer.alloc(4);
    stated.writeUInt32BE(length);
    expect(() => [...new Framer().push(stated)]).toThrow(expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }));
  }
});

it('allocates for what has come, not for what is announced', () => {
  const announced = Buffer.alloc(4);
  announced.writeUInt32BE(LENGTH_BYTES + MESSAGE_BYTES_MAX);
  const before = process.memoryUsage().arrayBuffers;
  const framers = Array.from({ length: 50 }, () => new Framer());
  for (const framer of framers) expect([...framer.push(announced)]).toEqual([]);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(MESSAGE_BYTES_MAX);
});

it('refuses another version of a program', () => {
  const packet = encodePacket({ program: 1, version: 2, procedure: 1, type: 1, serial: 1, status: 0 }, new Uint8Array());
  expect(() => readHeader(new XdrReader(packet.subarray(4)))).toThrow(expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }));
});
