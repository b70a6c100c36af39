import {
  type Digest,
  type Draft,
  type Event,
  GENESIS,
  PAYLOAD_TYPES,
  type Placement,
  type Reason,
  type Seq,
  type Timestamp,
  timestamp,
  uuidv7,
} from '@carnet/events';
import {
  admit,
  currentKeys,
  type KeyStatement,
  keyAnnouncementBytes,
  type LedgerState,
  positionOf,
  seqOf,
  signEnvelope,
} from '@carnet/trust';
import { JournalError } from './error.ts';
import { KEY_OVERLAP_MS } from './limits.ts';
import type { ChainVerdict, Clock, RandomBytes, Signing } from './ports.ts';

/** Who signs, and with what sources. */
export type Author = Signing & {
  readonly clock: Clock;
  readonly random: RandomBytes;
};

export type SealedEvent = {
  readonly state: LedgerState;
  readonly digest: Digest;
  readonly payload: Placement;
  readonly event: Event;
  readonly envelope: Uint8Array;
};

const utf8 = new TextEncoder();
const UUID_RANDOM_BYTES = 10;

export const timeOf = (ms: number): Timestamp => timestamp.parse(new Date(ms).toISOString());

/**
 * Makes a draft the next event of its ledger: id, position, time, signature. It then passes the same admission as the audience
 * will apply (all but the signature, made a moment ago): what a peer would refuse is never decided.
 *
 * @param hasCause whether the audience's ledger to us holds this event
 * @throws JournalError DRAFT_REFUSED
 */
export function sealDraft(
  author: Author,
  state: LedgerState,
  draft: Draft,
  hasCause: (digest: Digest) => boolean,
  ownChain: ChainVerdict | undefined,
): SealedEvent {
  const nowMs = author.clock.nowMs();
  const position = {
    id: uuidv7(nowMs, author.random(UUID_RANDOM_BYTES)),
    v: 1,
    publisher: state.publisher,
    audience: state.audience,
    seq: seqOf(positionOf(state.head?.seq) + 1),
    prev: state.head?.digest ?? GENESIS,
    time: timeOf(nowMs),
  };
  const payload = utf8.encode(JSON.stringify({ ...position, ...draft }));
  const envelope = signEnvelope(PAYLOAD_TYPES.event, payload, author.signer);
  const admission = admit(state, envelope, {
    nowMs,
    hasId: () => false,
    digestAt: () => undefined,
    hasCause,
    validateChain: () => ownChain ?? { ok: false, code: 'CHAIN_NOT_ASKED', text: 'only the journal announces keys' },
    coveredByHead: () => true,
  });
  if (admission.kind !== 'placed' || admission.event === undefined || admission.voidCode !== undefined)
    throw new JournalError('DRAFT_REFUSED', `${draft.type} to ${state.audience}: ${reasonOf(admission)}`);
  return { state: admission.state, digest: admission.digest, payload: admission.payload, event: admission.event, envelope };
}

function reasonOf(admission: ReturnType<typeof admit>): string {
  switch (admission.kind) {
    case 'placed':
      return `void, ${admission.voidCode}`;
    case 'refused':
      return `${admission.code}, ${admission.text} ${admission.got ?? ''}`;
    case 'unknown-cause':
      return `it cites ${admission.digest}, which the audience never published to us`;
    default:
      return admission.kind;
  }
}

/** The announcement that this ledger still needs before our signature counts in it: at its start, and after a change of key. */
export function owedAnnouncement(author: Author, state: LedgerState): Draft | undefined {
  const { signer, introduction } = author;
  if (currentKeys(state).some(({ keyid }) => keyid === signer.keyid)) return undefined;
  if (state.keys.some((key) => key.keyid === signer.keyid))
    throw new JournalError('OWN_KEY_REVOKED', `the event key ${signer.keyid} has ended in the ledger to ${state.audience}`);
  const statement = {
    keyid: signer.keyid,
    algorithm: 'Ed25519' as const,
    publicKey: Buffer.from(signer.publicKey).toString('base64'),
    notBefore: introduction.notBefore,
  };
  return { type: 'KeyAnnounced', causes: [], data: { ...statement, ...proofOf(author, state, statement) } };
}

const ROTATED: Reason = { code: 'KEY_ROTATED', text: 'every replica signs with the new key' };

/**
 * The end of the key before ours, once every replica had time to change. Only whoever holds the newest key ends the older one: a
 * replica that was left behind must not end what the others sign with.
 *
 * @param newestSince when the newest key was announced
 */
export function owedEnding(author: Author, state: LedgerState, newestSince: Timestamp | undefined): Draft | undefined {
  const [newest, older] = currentKeys(state);
  if (older === undefined || newest?.keyid !== author.signer.keyid || newestSince === undefined) return undefined;
  if (author.clock.nowMs() - Date.parse(newestSince) < KEY_OVERLAP_MS) return undefined;
  return endingOf(author, state, { keyid: older.keyid, lastSeq: seqOf(positionOf(state.head?.seq)), reason: ROTATED });
}

export type KeyEnding = { readonly keyid: Digest; readonly lastSeq: Seq; readonly reason: Reason };

/** `lastSeq`: the last position that its owner vouches for. */
export function endingOf(author: Author, state: LedgerState, { keyid, lastSeq, reason }: KeyEnding): Draft {
  const statement = { keyid, lastSeq, reason };
  return { type: 'KeyRevoked', causes: [], data: { ...statement, ...proofOf(author, state, statement) } };
}

function proofOf({ introduction }: Author, { publisher, audience }: LedgerState, statement: KeyStatement) {
  const signature = introduction.signer.sign(keyAnnouncementBytes(publisher, audience, statement));
  return { chain: [...introduction.chain], signature: Buffer.from(signature).toString('base64') };
}
