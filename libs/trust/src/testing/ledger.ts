import { createHash, createPrivateKey } from 'node:crypto';
import {
  type Digest,
  type EventData,
  type EventType,
  eventSubject,
  GENESIS,
  PAYLOAD_TYPES,
  type Placement,
  placement,
  type Seq,
  type TrustDomain,
  timestamp,
  trustDomain,
  uuidv7,
} from '@carnet/events';
import { type Admission, type AdmissionContext, initialLedger, type LedgerState } from '../admission.ts';
import { admit } from '../admit.ts';
import { digestOf, seqOf, sha256Hex } from '../bytes.ts';
import { signEnvelope } from '../envelope.ts';
import { keyAnnouncementBytes } from '../key-ledger.ts';
import { accept, refuse } from '../refusal.ts';
import { ed25519Signer, ed25519Verifier, type Signer } from '../signature.ts';

export const NOW_MS = Date.parse('2026-11-23T12:00:00.000Z');
export const timeAt = (ms: number) => timestamp.parse(new Date(ms).toISOString());
export const domainA: TrustDomain = trustDomain.parse('csp-a.example');
export const domainB: TrustDomain = trustDomain.parse('csp-b.example');

/** An event key made from a number: tests replay to the byte. */
export function keyOf(n: number): ReturnType<typeof ed25519Signer> {
  const seed = createHash('sha256').update(`test key ${n}`).digest();
  return ed25519Signer(
    createPrivateKey({
      key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
      format: 'der',
      type: 'pkcs8',
    }),
  );
}

/** Stands in for the X.509 identity, of which trust knows only that it verifies. */
export const identity = keyOf(1_000);
const uuidOf = (n: number): string => uuidv7(NOW_MS + n, createHash('sha256').update(`id ${n}`).digest().subarray(0, 10));
const base64Of = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
export const someDigest = (n: number): Digest => sha256Hex(Uint8Array.of(n));
export const aReason = { code: 'POLICY_DENIES', text: 'no' };

export type Payload = { readonly [field: string]: unknown };
export type Ledger = {
  readonly state: LedgerState;
  readonly envelopes: readonly Uint8Array[];
};

export const emptyLedger: Ledger = { state: initialLedger(domainA, domainB), envelopes: [] };

const positionOf = (ledger: Ledger): number => ledger.envelopes.length + 1;

/** The next event of a ledger, before it is signed. */
export function draft<T extends EventType>(
  ledger: Ledger,
  type: T,
  data: EventData<T> | Payload,
  changed: Payload = {},
): Payload {
  const position = positionOf(ledger);
  const isMigration = type !== 'KeyAnnounced' && type !== 'KeyRevoked';
  return {
    id: uuidOf(position),
    v: 1,
    publisher: domainA,
    audience: domainB,
    seq: seqOf(position),
    prev: ledger.state.head?.digest ?? GENESIS,
    causes: [],
    time: timeAt(NOW_MS),
    type,
    ...(isMigration ? { migration: uuidOf(10_000), epoch: 1 } : {}),
    data,
    ...changed,
  };
}

export const refusedDraft = (ledger: Ledger, changed: Payload = {}): Payload =>
  draft(ledger, 'MigrationRefused', { intent: someDigest(1), reasons: [aReason] }, changed);

/** What introduces a key of `publisher` to `audience`, signed by the publisher's X.509 identity. */
export function keyStatement(
  publisher: TrustDomain,
  audience: TrustDomain,
  key: Pick<ReturnType<typeof keyOf>, 'keyid' | 'publicKey'>,
): Payload {
  const said = {
    keyid: key.keyid,
    algorithm: 'Ed25519',
    publicKey: base64Of(key.publicKey),
    notBefore: timeAt(NOW_MS - 1_000),
  } as const;
  return { ...said, signature: base64Of(identity.sign(keyAnnouncementBytes(publisher, audience, said))) };
}

/** Announces `key`; `changed` alters the data after the identity has signed it. */
export function announcement(
  ledger: Ledger,
  key: ReturnType<typeof keyOf>,
  changed: Payload = {},
  fields: Payload = {},
): Payload {
  return draft(ledger, 'KeyAnnounced', { ...keyStatement(domainA, domainB, key), chain: ['AAAA'], ...changed }, fields);
}

export function revocation(ledger: Ledger, keyid: Digest, lastSeq: Seq, changed: Payload = {}): Payload {
  const said = { keyid, lastSeq, reason: aReason };
  const signature = base64Of(identity.sign(keyAnnouncementBytes(domainA, domainB, said)));
  return draft(ledger, 'KeyRevoked', { ...said, chain: ['AAAA'], signature, ...changed });
}

export const sealText = (text: string, signer: Signer, payloadType: string = PAYLOAD_TYPES.event): Uint8Array =>
  signEnvelope(payloadType, new TextEncoder().encode(text), signer);
export const seal = (payload: Payload, signer: Signer): Uint8Array => sealText(JSON.stringify(payload), signer);

export function contextOf(ledger: Ledger, changed: Partial<AdmissionContext> = {}): AdmissionContext {
  const ids = new Set(ledger.envelopes.map((_, i) => uuidOf(i + 1)));
  const digests = ledger.envelopes.map((bytes) => digestOf(createHash('sha256').update(bytes).digest()));
  return {
    nowMs: NOW_MS,
    hasId: (id) => ids.has(id),
    digestAt: (seq) => digests[Number(seq) - 1],
    hasCause: (digest) => digest === someDigest(200),
    validateChain: (_, domain) =>
      domain === domainA
        ? accept({ spkiVerifier: ed25519Verifier(identity.publicKey) })
        : refuse('DOMAIN_MISMATCH', 'expected another domain'),
    ...changed,
  };
}

export const offer = (ledger: Ledger, bytes: Uint8Array, changed: Partial<AdmissionContext> = {}): Admission =>
  admit(ledger.state, bytes, contextOf(ledger, changed));

/** What came of it in one word: a code, or the kind. */
export const verdictOf = (admission: Admission): string => {
  if (admission.kind === 'refused') return admission.code;
  return admission.kind === 'placed' ? (admission.voidCode ?? 'placed') : admission.kind;
};

/** Deep-frozen: whoever changes a ledger's state in place is found out. */
function frozen<T extends object>(value: T): T {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) frozen(inner);
  return Object.freeze(value);
}

export function append(ledger: Ledger, bytes: Uint8Array): Ledger {
  const admission = offer(ledger, bytes);
  if (admission.kind !== 'placed') throw new Error(`not placed: ${verdictOf(admission)}`);
  return { state: frozen(admission.state), envelopes: [...ledger.envelopes, bytes] };
}

/** Key 0 announced, then `n` events. */
export function ledgerOf(n: number): Ledger {
  const signer = keyOf(0);
  let ledger = append(emptyLedger, seal(announcement(emptyLedger, signer), signer));
  for (let i = 0; i < n; i++) ledger = append(ledger, seal(refusedDraft(ledger), signer));
  return ledger;
}

export const subjectOf = (payload: Payload): string => eventSubject(placementOf(payload));
export const placementOf = (payload: Payload): Placement => placement.parse(payload);
