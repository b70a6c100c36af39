import { describe, expect, it } from 'vitest';
import { formsOf } from '../../libs/keys/src/testing/two-sides.ts';
import { clouds, run } from './rig.ts';

/** TLS records of RFC 8446: what a connection says in the clear is its handshake's first flight, and nothing else. */
const APPLICATION_DATA = Buffer.from([0x17, 0x03, 0x03]);

describe('SSH-tunnel mobility: no key and no image is readable by any middle box', () => {
  const everywhere = (): readonly (readonly [string, Buffer])[] => {
    const { a, b, bus } = clouds;
    return [
      ['the bus', run.seen(bus.port)],
      ['A’s door', run.seen(a.facts.ports.http)],
      ['A’s data path', run.seen(a.facts.ports.dataPath)],
      ['B’s door', run.seen(b.facts.ports.http)],
    ];
  };

  it('the whole run was seen: commands, events and image went by, each inside TLS 1.3', () => {
    for (const [where, bytes] of everywhere()) expect(bytes.includes(APPLICATION_DATA), where).toBe(true);
    expect(run.seen(clouds.a.facts.ports.dataPath).length).toBeGreaterThan(run.image.length);
  });

  it('the key that opens the image is in none of it: raw, in hexadecimal or in base64', () => {
    for (const [where, bytes] of everywhere())
      for (const form of formsOf(run.dek)) expect(bytes.includes(form), where).toBe(false);
  });

  it('nor is any part of the image, though it is ciphertext itself', () => {
    for (const [where, bytes] of everywhere())
      for (let at = 0; at + 16 <= run.image.length; at += 16)
        expect(bytes.includes(run.image.subarray(at, at + 16)), where).toBe(false);
  });

  it('nor a word of who moves what', () => {
    for (const word of [run.vm.uuid, run.migration, 'MigrationIntended', 'KeyReleased', 'PRIVATE KEY'])
      for (const [where, bytes] of everywhere()) expect(bytes.includes(word), `${word} at ${where}`).toBe(false);
  });
});
