import { GENESIS, PAYLOAD_TYPES, type Timestamp } from '@carnet/events';
import {
  accept,
  judgeProof,
  proofFileOf,
  readProof,
  refuse,
  seqOf,
  sha256Hex,
  signCheckpoint,
  signEnvelope,
} from '@carnet/trust';
import { afterAll, expect, it } from 'vitest';
import { signMessage } from './messages.ts';
import { payloadOf } from './stored-event.ts';
import { twoSides } from './testing/two-sides.ts';
import { A, anyDigest, B, eventKeyOf, identityOf, openTestStore, removeTemporaryDirs, testClock } from './testing/world.ts';

afterAll(removeTemporaryDirs);
const { sides, told, hear, say, ledgerOf } = twoSides(openTestStore);

/** B holds what A told it; then A says something else. */
const now = () => new Date(testClock.nowMs()).toISOString() as Timestamp;
const signed = async (position: number, changed: object): Promise<Uint8Array> => {
  const at = (await ledgerOf(sides.a))[position - 1];
  const payload = at === undefined ? {} : payloadOf(at.envelope);
  return signEnvelope(PAYLOAD_TYPES.event, Buffer.from(JSON.stringify({ ...(payload as object), ...changed })), eventKeyOf(A));
};
const id = '01890000-0000-7000-8000-00000000abcd';
const headOf = (ends: object) =>
  signMessage({ kind: 'head', from: A, to: B, time: now(), own: null, received: null, ...ends }, eventKeyOf(A));

/** As whoever has nothing but the file and the certificates' root judges it. */
const judged = async () => {
  const proof = await sides.b.journal.proofAgainst(A);
  if (!proof.ok) return proof;
  const read = readProof(Buffer.from(JSON.stringify(proofFileOf(proof.value))));
  if (!read.ok) return read;
  return judgeProof(read.value, {
    nowMs: testClock.nowMs(),
    validateChain: (chain, domain) =>
      chain[0] === identityOf(domain).chain[0]
        ? accept({ spkiVerifier: identityOf(domain).verifier })
        : refuse('DOMAIN_MISMATCH', 'expected another chain'),
  });
};
const convinces = (kind: string, more: object = {}) => ({ ok: true, value: { contradiction: { kind, ...more } } });

it('an honest peer: none', async () => {
  expect(await judged()).toMatchObject({ ok: false, code: 'PROOF_NONE' });
});

it('two events at one position', async () => {
  const fork = await signed(2, { id });
  expect(await sides.b.journal.receive(A, { envelope: fork })).toMatchObject({ kind: 'fork' });
  expect(await judged()).toMatchObject(convinces('two-events', { seq: '2', told: sha256Hex(fork) }));
});

it('an event after another than was told', async () => {
  const next = await signed(2, { id, seq: '3', prev: anyDigest });
  expect(await sides.b.journal.receive(A, { envelope: next })).toMatchObject({ kind: 'fork' });
  expect(await judged()).toMatchObject(convinces('another-past', { seq: '2', told: anyDigest }));
});

it('a head of another ledger than was told', async () => {
  await sides.b.exchange.hear(headOf({ own: { seq: seqOf(2), digest: anyDigest } }));
  expect(await judged()).toMatchObject(convinces('false-head', { seq: '2', told: anyDigest }));
});

it('a checkpoint of another past than was told', async () => {
  const note = signCheckpoint({ publisher: A, audience: B }, { size: 2, peaks: [Buffer.alloc(32, 1)] }, eventKeyOf(A));
  const message = { kind: 'checkpoint', from: A, to: B, time: now(), note: Buffer.from(note).toString() } as const;
  await sides.b.exchange.hear(signMessage(message, eventKeyOf(A)));
  expect(await judged()).toMatchObject(convinces('false-checkpoint', { size: 2 }));
});

it('a cause that never was, once the peer has signed how far it holds our ledger', async () => {
  await say(sides.b, 'more');
  await hear(sides.a, await told(sides.b));
  const last = (await ledgerOf(sides.a)).at(-1);
  const citing = await signed(2, { id, seq: '3', prev: last?.digest ?? GENESIS, causes: [anyDigest] });
  expect(await sides.b.journal.receive(A, { envelope: citing })).toMatchObject({ kind: 'unknown-cause' });
  expect(await judged()).toMatchObject({ ok: false, code: 'PROOF_UNACKNOWLEDGED' });
  const ours = (await ledgerOf(sides.b)).at(-1);
  const ends = { own: { seq: seqOf(3), digest: sha256Hex(citing) }, received: { seq: seqOf(3), digest: ours?.digest } };
  await sides.b.exchange.hear(headOf(ends));
  expect(await judged()).toMatchObject(convinces('unknown-cause', { cause: anyDigest, shown: 3 }));
});

it('a peer that signed that it holds another event of ours: kept, and nothing that convinces others', async () => {
  await sides.b.exchange.hear(headOf({ received: { seq: seqOf(1), digest: anyDigest } }));
  expect((await sides.b.journal.peersState()).find(({ peer }) => peer === A)?.proofs).toHaveLength(1);
  expect(await judged()).toMatchObject({ ok: false, code: 'PROOF_NO_CONTRADICTION' });
});
