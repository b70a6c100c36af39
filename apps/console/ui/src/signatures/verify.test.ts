import { createHash, createPrivateKey } from 'node:crypto';
import { GENESIS, PAYLOAD_TYPES } from '@carnet/events';
import { ed25519Signer, sha256Hex, signEnvelope } from '@carnet/trust';
import { describe, expect, it } from 'vitest';
import type { LedgerEntry } from '../live/rows.ts';
import { knownKeys, verify } from './verify.ts';

const A = 'csp-a.example';
const B = 'csp-b.example';
const TIME = '2026-11-23T10:00:00.000Z';
const CAUSE = 'ab'.repeat(32);

const signerOf = (n: number) => {
  const seed = createHash('sha256').update(`key ${n}`).digest();
  return ed25519Signer(
    createPrivateKey({
      key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
      format: 'der',
      type: 'pkcs8',
    }),
  );
};
type Signer = ReturnType<typeof signerOf>;
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

function entryOf(signer: Signer, seq: number, said: Readonly<Record<string, unknown>>, publisher = A): LedgerEntry {
  const audience = publisher === A ? B : A;
  const payload = {
    id: `01932c07-0000-7000-8000-00000000000${seq}`,
    v: 1,
    publisher,
    audience,
    seq: String(seq),
    prev: GENESIS,
    causes: [],
    time: TIME,
    ...said,
  };
  const bytes = signEnvelope(PAYLOAD_TYPES.event, new TextEncoder().encode(JSON.stringify(payload)), signer);
  const migration = typeof said['migration'] === 'string' ? { migration: said['migration'] } : {};
  return {
    digest: sha256Hex(bytes),
    publisher,
    audience,
    seq: String(seq),
    type: String(said['type']),
    time: TIME,
    state: 'received',
    envelope: base64(bytes),
    ...migration,
  };
}

const announced = (by: Signer, seq: number, of: Signer = by): LedgerEntry =>
  entryOf(by, seq, {
    type: 'KeyAnnounced',
    data: {
      keyid: of.keyid,
      algorithm: 'Ed25519',
      publicKey: base64(of.publicKey),
      notBefore: TIME,
      chain: ['AA=='],
      signature: 'AA==',
    },
  });
const revoked = (by: Signer, seq: number, of: Signer, lastSeq: number): LedgerEntry =>
  entryOf(by, seq, {
    type: 'KeyRevoked',
    data: {
      keyid: of.keyid,
      lastSeq: String(lastSeq),
      reason: { code: 'KEY_LOST', text: 'lost' },
      chain: ['AA=='],
      signature: 'AA==',
    },
  });
const withdrawn = (by: Signer, seq: number, publisher = A): LedgerEntry =>
  entryOf(
    by,
    seq,
    {
      type: 'MigrationWithdrawn',
      migration: '01932c07-0000-7000-8000-0000000000aa',
      epoch: 1,
      data: { intent: CAUSE, reason: { code: 'OPERATOR', text: 'no' } },
    },
    publisher,
  );

const [first, second, stranger] = [signerOf(1), signerOf(2), signerOf(3)];
const keys = knownKeys([announced(first, 1)]);

describe('a signature', () => {
  it('is good under the key that the ledger announced', () => {
    expect(verify(withdrawn(first, 2), keys)).toMatchObject({
      kind: 'valid',
      keyid: first.keyid,
      announcedAt: '1',
      payload: { type: 'MigrationWithdrawn' },
    });
    expect(verify(announced(first, 1), keys).kind).toBe('valid');
  });

  it('is not checked under a key that nobody announced in this ledger, or not yet at this position', () => {
    expect(verify(withdrawn(stranger, 2), keys)).toMatchObject({ kind: 'unknown-key' });
    expect(verify(withdrawn(first, 2, B), keys)).toMatchObject({ kind: 'unknown-key' });
    expect(verify(withdrawn(first, 2), knownKeys([announced(first, 5)]))).toMatchObject({ kind: 'unknown-key' });
    expect(verify(withdrawn(first, 2), [])).toMatchObject({ kind: 'unknown-key' });
  });

  it.each([
    ['another digest', { digest: CAUSE }, 'DIGEST_DIFFERS'],
    ['another type', { type: 'VmStarted' }, 'ENTRY_DIFFERS'],
    ['another time', { time: '2026-11-23T10:00:00.001Z' }, 'ENTRY_DIFFERS'],
    ['another migration', { migration: '01932c07-0000-7000-8000-0000000000bb' }, 'ENTRY_DIFFERS'],
    ['another position', { seq: '3' }, 'ENTRY_DIFFERS'],
    ['no base64', { envelope: '%' }, 'ENVELOPE_MALFORMED'],
    ['nothing', { envelope: '', digest: sha256Hex(new Uint8Array()) }, 'ENVELOPE_MALFORMED'],
  ])('is refused when the broker lists %s', (_, changed, code) => {
    expect(verify({ ...withdrawn(first, 2), ...changed }, keys)).toMatchObject({ kind: 'invalid', code });
  });

  it('is refused when one character of the payload changed', () => {
    const good = withdrawn(first, 2);
    const envelope = JSON.parse(Buffer.from(good.envelope, 'base64').toString());
    const payload = Buffer.from(envelope.payload, 'base64').toString().replace('"epoch":1', '"epoch":2');
    const bytes = Buffer.from(JSON.stringify({ ...envelope, payload: base64(Buffer.from(payload)) }));
    expect(verify({ ...good, digest: sha256Hex(bytes), envelope: base64(bytes) }, keys)).toMatchObject({
      kind: 'invalid',
      code: 'SIGNATURE_INVALID',
    });
  });
});

describe('keys', () => {
  it('follow each other: the old one ends where the new one begins', () => {
    const rotated = knownKeys([announced(second, 5), announced(first, 1)]);
    expect([verify(withdrawn(first, 4), rotated).kind, verify(withdrawn(second, 5), rotated).kind]).toEqual(['valid', 'valid']);
    expect([verify(withdrawn(first, 5), rotated).kind, verify(withdrawn(second, 4), rotated).kind]).toEqual([
      'unknown-key',
      'unknown-key',
    ]);
  });

  it('end where they are revoked, and never before that position', () => {
    const ended = knownKeys([announced(first, 1), revoked(first, 3, first, 2)]);
    expect([3, 4].map((seq) => verify(withdrawn(first, seq), ended).kind)).toEqual(['valid', 'unknown-key']);
  });

  it('are not taken when another key announces them, when they are not what they are called, or are no points', () => {
    expect(knownKeys([announced(stranger, 1, first)])).toEqual([]);
    expect(knownKeys([announced({ ...first, keyid: second.keyid }, 1)])).toEqual([]);
    const nothing = new Uint8Array(32);
    expect(knownKeys([announced({ ...first, keyid: sha256Hex(nothing), publicKey: nothing }, 1)])).toEqual([]);
    expect(knownKeys([{ ...announced(first, 1), envelope: 'AAAA' }])).toEqual([]);
  });

  it('are not ended by a revocation that nobody in the ledger signed', () => {
    const still = knownKeys([announced(first, 1), revoked(stranger, 2, first, 1)]);
    expect(verify(withdrawn(first, 9), still).kind).toBe('valid');
  });
});
