import { createHash, createPrivateKey, sign } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cosignNote, openCosignatures } from './cosignature.ts';
import { type NoteSigner, openNote, signNote } from './note.ts';
import { ed25519Signer } from './signature.ts';
import { keyOf } from './testing/ledger.ts';

const signerOf = (name: string, n: number): NoteSigner => ({ name, ...keyOf(n) });
const log = signerOf('csp-a.example/ledger/csp-b.example', 0);
const witness = signerOf('csp-b.example/witness', 1);
const TEXT = `${log.name}\n7\n${Buffer.alloc(32, 7).toString('base64')}\n`;
const note = signNote(TEXT, [log]);
const TIME = 1_790_000_000;
const cosigned = cosignNote(note, witness, TIME);

/** The specification followed by hand: another hand than the one that is tested. */
function byHand(): string {
  const seed = Buffer.alloc(32, 42);
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const { publicKey } = ed25519Signer(key);
  const id = createHash('sha256').update(`w.example/1\n`).update(Uint8Array.of(4)).update(publicKey).digest().subarray(0, 4);
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(TIME));
  const signature = sign(null, Buffer.from(`cosignature/v1\ntime ${TIME}\n${TEXT}`), key);
  return `${Buffer.from(note).toString()}— w.example/1 ${Buffer.concat([id, time, signature]).toString('base64')}\n`;
}

describe('cosignatures', () => {
  it('leave the log’s signature as it was, and are not mistaken for one', () => {
    expect(openNote(cosigned, [log])).toMatchObject({ ok: true, value: { text: TEXT, signers: [log.name] } });
    expect(openNote(cosigned, [witness])).toMatchObject({ code: 'SIGNER_UNKNOWN' });
    expect(openCosignatures(note, [witness])).toMatchObject({ code: 'SIGNER_UNKNOWN' });
    expect(openCosignatures(cosigned, [witness])).toEqual({ ok: true, value: [{ name: witness.name, time: TIME }] });
  });

  it('are those of the specification', () => {
    const key = ed25519Signer(
      createPrivateKey({
        key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.alloc(32, 42)]),
        format: 'der',
        type: 'pkcs8',
      }),
    );
    const name = 'w.example/1';
    expect(Buffer.from(cosignNote(note, { name, publicKey: key.publicKey, sign: key.sign }, TIME)).toString()).toBe(byHand());
    expect(openCosignatures(Buffer.from(byHand()), [{ name, publicKey: key.publicKey }])).toMatchObject({ ok: true });
  });

  it('of a checkpoint by a key of another name, or of another key by that name, count for nothing', () => {
    expect(openCosignatures(cosigned, [{ ...witness, name: 'csp-c.example/witness' }])).toMatchObject({ code: 'SIGNER_UNKNOWN' });
    expect(openCosignatures(cosigned, [signerOf(witness.name, 2)])).toMatchObject({ code: 'SIGNER_UNKNOWN' });
  });

  it('no changed byte of text, time or signature passes', () => {
    const lineStart = Buffer.from(cosigned).lastIndexOf('— ');
    fc.assert(
      fc.property(fc.nat({ max: cosigned.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        // The log's own line is not what a witness signs.
        if (at >= TEXT.length && at < lineStart) return;
        const changed = Uint8Array.from(cosigned);
        changed[at] = (changed[at] ?? 0) ^ flip;
        expect(openCosignatures(changed, [witness]).ok).toBe(false);
      }),
    );
  });

  it.each([-1, 0.5, Number.NaN])('are not made at time %s', (time) => {
    expect(() => cosignNote(note, witness, time)).toThrow('RANGE');
  });

  it('are not made of what is no note', () => {
    expect(() => cosignNote(Buffer.from(TEXT), witness, TIME)).toThrow('RANGE');
  });
});
