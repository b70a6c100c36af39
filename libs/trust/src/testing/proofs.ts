import { type Digest, GENESIS, PAYLOAD_TYPES, type PeerMessage, type TrustDomain } from '@carnet/events';
import { seqOf, sha256Hex } from '../bytes.ts';
import { signEnvelope } from '../envelope.ts';
import { eventLeaf, signCheckpoint } from '../ledger-checkpoint.ts';
import { appendLeaf, emptyTree, type MerkleTree } from '../merkle.ts';
import type { Proof } from '../proof.ts';
import { accept, refuse } from '../refusal.ts';
import type { ProofRules } from '../shown-ledger.ts';
import { ed25519Verifier } from '../signature.ts';
import {
  aReason,
  domainA,
  domainB,
  identity,
  keyOf,
  keyStatement,
  NOW_MS,
  type Payload,
  seal,
  someDigest,
  timeAt,
} from './ledger.ts';

/** A lies to B: what each signed, as a proof shows it. */
type Key = ReturnType<typeof keyOf>;
export const keyA = keyOf(0);
export const keyB = keyOf(1);
export const stranger = keyOf(2);

/** Stands in for a chain: whose it is. */
const chainOf = (domain: TrustDomain): readonly string[] => [domain === domainA ? 'AAAA' : 'BBBB'];
export const rules: ProofRules = {
  nowMs: NOW_MS,
  validateChain: (chain, domain) =>
    chain[0] === chainOf(domain)[0]
      ? accept({ spkiVerifier: ed25519Verifier(identity.publicKey) })
      : refuse('DOMAIN_MISMATCH', 'expected another domain'),
};

type Names = { readonly publisher: TrustDomain; readonly audience: TrustDomain };
export const toB: Names = { publisher: domainA, audience: domainB };
export const toA: Names = { publisher: domainB, audience: domainA };

const uuidOf = (n: number): string => `01936ad4-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;

export const eventAt = (names: Names, position: number, prev: Digest, changed: Payload = {}): Payload => ({
  id: uuidOf(position),
  v: 1,
  ...names,
  seq: seqOf(position),
  prev,
  causes: [],
  time: timeAt(NOW_MS),
  type: 'MigrationRefused',
  migration: uuidOf(10_000),
  epoch: 1,
  data: { intent: someDigest(1), reasons: [aReason] },
  ...changed,
});

export function announcementOf(names: Names, key: Key, changed: Payload = {}): Uint8Array {
  const data = { ...keyStatement(names.publisher, names.audience, key), chain: chainOf(names.publisher) };
  const { migration: _, epoch: __, ...placed } = eventAt(names, 1, GENESIS);
  return seal({ ...placed, type: 'KeyAnnounced', data, ...changed }, key);
}

/** The key is announced, then `n` events. */
export function toldBy(names: Names, key: Key, n: number, changed: Payload = {}): readonly Uint8Array[] {
  const envelopes = [announcementOf(names, key)];
  for (let i = 0; i < n; i++)
    envelopes.push(seal(eventAt(names, envelopes.length + 1, sha256Hex(envelopes.at(-1) ?? new Uint8Array()), changed), key));
  return envelopes;
}

export const endOf = (envelopes: readonly Uint8Array[]) => ({
  seq: seqOf(envelopes.length),
  digest: sha256Hex(envelopes.at(-1) ?? new Uint8Array()),
});
export const message = (said: PeerMessage, key: Key): Uint8Array =>
  signEnvelope(PAYLOAD_TYPES.peerMessage, Buffer.from(JSON.stringify(said)), key);
type Head = Extract<PeerMessage, { readonly kind: 'head' }>;
export const headOf = (ends: Partial<Head>, key: Key = keyA): Uint8Array =>
  message({ kind: 'head', from: domainA, to: domainB, time: timeAt(NOW_MS), own: null, received: null, ...ends }, key);
export const treeOf = (envelopes: readonly Uint8Array[]): MerkleTree =>
  envelopes.reduce((tree, bytes) => appendLeaf(tree, eventLeaf(bytes)), emptyTree);
export const checkpointOf = (tree: MerkleTree, key: Key = keyA): Uint8Array => {
  const note = Buffer.from(signCheckpoint(toB, tree, keyA)).toString();
  return message({ kind: 'checkpoint', from: domainA, to: domainB, time: timeAt(NOW_MS), note }, key);
};

export const told = toldBy(toB, keyA, 2);
export const answered = toldBy(toA, keyB, 2);
const [announced, second, third] = told as readonly [Uint8Array, Uint8Array, Uint8Array];

const proof = (statement: Uint8Array, accusedEvents: readonly Uint8Array[], more: Partial<Proof> = {}): Proof => ({
  accused: domainA,
  audience: domainB,
  code: 'LEDGER_FORK',
  statement,
  accusedEvents,
  audienceEvents: [],
  ...more,
});
export const rival = (changed: Payload = {}, key: Key = keyA): Uint8Array =>
  seal(eventAt(toB, 3, sha256Hex(second), { id: uuidOf(77), ...changed }), key);
export const citing = (causes: readonly Digest[]): Uint8Array => seal(eventAt(toB, 4, sha256Hex(third), { causes }), keyA);
export const NOWHERE = someDigest(99);
/** Signed after the event at 4, and holding all of B's ledger that is shown. */
export const acknowledgement = headOf({ own: { seq: seqOf(4), digest: someDigest(4) }, received: endOf(answered) });

/** One convincing proof of each kind. */
export const PROOFS = {
  'two-events': proof(rival(), [announced, third]),
  'another-past': proof(seal(eventAt(toB, 4, NOWHERE), keyA), [announced, third]),
  'false-head': proof(headOf({ own: { seq: seqOf(3), digest: NOWHERE } }), [announced, third]),
  'false-checkpoint': proof(checkpointOf(treeOf([announced, second, rival()])), told),
  'unknown-cause': proof(citing([NOWHERE]), [announced], { code: 'CAUSE_UNKNOWN', audienceEvents: answered, acknowledgement }),
} as const;
