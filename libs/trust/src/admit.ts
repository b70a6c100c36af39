import {
  CLOCK_SKEW_MS_MAX,
  type Event,
  type EventOf,
  event,
  eventSubject,
  GENESIS,
  PAYLOAD_TYPES,
  type Placement,
  placement,
  type Timestamp,
} from '@carnet/events';
import { fromBase64 } from '#primitives';
import type { Admission, AdmissionContext, AnnouncedKey, LedgerState } from './admission.ts';
import { positionOf, seqOf } from './bytes.ts';
import type { AdmissionCode, VoidCode } from './codes.ts';
import { checkPayloadType, checkSignature, checkSize, type ReadEnvelope, readEnvelope } from './envelope.ts';
import { announcedVerifier, evolveKeys, introducedVerifier, isCurrent, keyAnnouncementBytes } from './key-ledger.ts';
import { accept, type Checked, type Refusal, refuse } from './refusal.ts';
import { type JsonValue, parseStrictJson } from './strict-json.ts';

/** A payload that can be placed: what every event says, and all of it if its own schema takes it. */
type Reading = { readonly payload: Placement; readonly event: Event | undefined; readonly voidCode?: VoidCode };

/**
 * Judges one envelope for one ledger (protocol, section 3). Pure and synchronous: live brokers, the console and an auditor
 * get the same answer. The first failing check answers and changes nothing; the order is the protocol's, but that JSON is read
 * as soon as its signature holds, since the later lines speak about its content.
 */
export function admit(state: LedgerState, envelopeBytes: Uint8Array, ctx: AdmissionContext): Admission {
  const sized = checkSize(envelopeBytes);
  if (!sized.ok) return refused(sized);
  const envelope = readEnvelope(envelopeBytes);
  if (!envelope.ok) return refused(envelope);
  const typed = checkPayloadType(envelope.value, PAYLOAD_TYPES.event);
  if (!typed.ok) return refused(typed);
  const signed = checkSigned(state, envelope.value, ctx);
  if (!signed.ok) return refused(signed);
  const reading = readPayload(envelope.value.payload);
  if (!reading.ok) return refused(reading);
  const { payload } = reading.value;
  const key = checkKeyAtPosition(state, envelope.value.keyid, payload);
  if (!key.ok) return refused(key);
  const path = checkCertificatePath(state, reading.value.event, envelope.value, ctx);
  if (!path.ok) return refused(path);
  const routed = checkRoute(state, payload, ctx.subject);
  if (!routed.ok) return refused(routed);
  const fresh = checkId(state, payload, ctx);
  if (!fresh.ok) return refused(fresh);
  return (
    checkChain(state, payload, envelope.value, ctx) ?? checkCauses(payload, ctx) ?? place(state, envelope.value, reading.value)
  );
}

/**
 * What introduces a new event key of this ledger, by itself: signed by that key, its statement by a good X.509 identity of the publisher. Says
 * nothing about its position.
 */
export function openIntroduction(
  state: LedgerState,
  envelopeBytes: Uint8Array,
  { nowMs, validateChain }: Pick<AdmissionContext, 'nowMs' | 'validateChain'>,
): Checked<EventOf<'KeyAnnounced'>, AdmissionCode> {
  const sized = checkSize(envelopeBytes);
  if (!sized.ok) return sized;
  const envelope = readEnvelope(envelopeBytes);
  if (!envelope.ok) return envelope;
  const typed = checkPayloadType(envelope.value, PAYLOAD_TYPES.event);
  if (!typed.ok) return typed;
  const { payload, keyid } = envelope.value;
  const verifier = introducedVerifier(payload, keyid);
  if (verifier === 'unsound') return refuse('KEY_INVALID', 'expected an Ed25519 key whose id is its SHA-256', { got: keyid });
  if (verifier === undefined) return refuse('KEY_NOT_ANNOUNCED', 'expected an event that introduces its own key', { got: keyid });
  const signed = checkSignature(envelope.value, verifier);
  if (!signed.ok) return signed;
  const reading = readPayload(payload);
  if (!reading.ok) return reading;
  const { payload: placed, event: said } = reading.value;
  const routed = checkRoute(state, placed, undefined);
  if (!routed.ok) return routed;
  if (said?.type !== 'KeyAnnounced') return refuse('KEY_NOT_ANNOUNCED', 'expected a key announcement', { got: placed.type });
  const stated = checkStatement(state, said, { nowMs, validateChain });
  return stated.ok ? accept(said) : stated;
}

/** As `openIntroduction`, for whoever asks no more. */
export const isIntroduction = (...asked: Parameters<typeof openIntroduction>): boolean => openIntroduction(...asked).ok;

/** A refusal is passed on as it is; it never carries a state. */
const refused = ({ code, text, expected, got }: Refusal<AdmissionCode>): Admission => ({
  kind: 'refused',
  code,
  text,
  ...(expected === undefined ? {} : { expected }),
  ...(got === undefined ? {} : { got }),
});

/** The signature holds under a key that this ledger announced, or that this event introduces. */
function checkSigned(
  state: LedgerState,
  envelope: ReadEnvelope,
  ctx: AdmissionContext,
): Checked<null, 'SIGNATURE_INVALID' | 'KEY_NOT_ANNOUNCED' | 'KEY_INVALID'> {
  const verifier = announcedVerifier(state.keys, envelope.keyid) ?? introducedVerifier(envelope.payload, envelope.keyid);
  if (verifier === undefined) return refuse('KEY_NOT_ANNOUNCED', 'expected a key of this ledger', { got: envelope.keyid });
  if (verifier === 'unsound')
    return refuse('KEY_INVALID', 'expected an Ed25519 key whose id is its SHA-256', { got: envelope.keyid });
  if (ctx.coveredByHead?.(envelope.digest) === true) return accept(null);
  return checkSignature(envelope, verifier);
}

/** JSON traps, then what is needed to place the event; its own schema only decides whether it is void. */
function readPayload(bytes: Uint8Array): Checked<Reading, Extract<AdmissionCode, `JSON_${string}` | 'PLACEMENT_INVALID'>> {
  const json = parseStrictJson(bytes);
  if (!json.ok) return json;
  const whole = event.safeParse(json.value);
  // What the whole schema takes can be placed: the second, smaller schema is for events that will be void.
  if (whole.success) return accept({ payload: whole.data, event: whole.data });
  const placed = placement.safeParse(json.value);
  const voidCode = hasKnownType(json.value) ? 'SCHEMA_INVALID' : 'TYPE_UNKNOWN';
  if (placed.success) return accept({ payload: placed.data, event: undefined, voidCode });
  const issue = placed.error.issues[0];
  return refuse(
    'PLACEMENT_INVALID',
    `expected what places an event: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`.trim(),
  );
}

/** From the schema itself: a type added there is known here. */
const EVENT_TYPES: ReadonlySet<string> = new Set(event.options.map((option) => option.unwrap().shape.type.value));

const hasKnownType = (json: JsonValue): boolean =>
  typeof json === 'object' && json !== null && 'type' in json && typeof json.type === 'string' && EVENT_TYPES.has(json.type);

/** The key was announced and has not ended before this position; an event that introduces its own key needs no older one. */
function checkKeyAtPosition(state: LedgerState, keyid: string, payload: Placement): Checked<null, 'KEY_ENDED'> {
  const key: AnnouncedKey | undefined = state.keys.find((k) => k.keyid === keyid);
  if (key === undefined || isCurrent(key, payload.seq)) return accept(null);
  return refuse('KEY_ENDED', 'expected a key that is valid at this position', {
    expected: `positions ${key.from} to ${key.to ?? 'now'}`,
    got: payload.seq,
  });
}

type PathCode = 'KEY_ANNOUNCED_AHEAD' | 'KEY_NOT_YET_VALID' | 'CERTIFICATE_PATH_REFUSED' | 'KEY_STATEMENT_FORGED';

/** What is said about keys is said by the publisher's X.509 identity, whoever holds an event key. */
function checkCertificatePath(
  state: LedgerState,
  said: Event | undefined,
  envelope: ReadEnvelope,
  ctx: AdmissionContext,
): Checked<null, PathCode> {
  if (said?.type !== 'KeyAnnounced' && said?.type !== 'KeyRevoked') return accept(null);
  // Judged when it was placed: a certificate that expired since does not make a repeat suspicious.
  if (positionOf(said.seq) <= positionOf(state.head?.seq) && ctx.digestAt(said.seq) === envelope.digest) return accept(null);
  return checkStatement(state, said, ctx);
}

function checkStatement(
  state: LedgerState,
  said: Event | undefined,
  { nowMs, validateChain }: Pick<AdmissionContext, 'nowMs' | 'validateChain'>,
): Checked<null, PathCode> {
  if (said?.type !== 'KeyAnnounced' && said?.type !== 'KeyRevoked') return accept(null);
  const dated = checkDate(said, nowMs);
  if (!dated.ok) return dated;
  const chain = validateChain(said.data.chain, state.publisher, said.time);
  if (!chain.ok) return refuse('CERTIFICATE_PATH_REFUSED', `${chain.code}: ${chain.text}`, chain);
  const statement = keyAnnouncementBytes(state.publisher, state.audience, said.data);
  if (chain.value.spkiVerifier.verify(statement, fromBase64(said.data.signature))) return accept(null);
  return refuse('KEY_STATEMENT_FORGED', 'expected the statement to be signed by the leaf of its chain', { got: said.type });
}

/** The chain is judged at the event's own time: a future date would let a certificate count before it is valid. */
function checkDate(
  said: EventOf<'KeyAnnounced'> | EventOf<'KeyRevoked'>,
  nowMs: number,
): Checked<null, 'KEY_ANNOUNCED_AHEAD' | 'KEY_NOT_YET_VALID'> {
  // A day such as 30 February passes the timestamp's pattern and is no time: NaN fails the comparison.
  if (!(Date.parse(said.time) <= nowMs + CLOCK_SKEW_MS_MAX)) {
    return refuse('KEY_ANNOUNCED_AHEAD', 'expected a time that has come', { got: said.time });
  }
  const notBefore: Timestamp = said.type === 'KeyAnnounced' ? said.data.notBefore : said.time;
  if (notBefore <= said.time) return accept(null);
  return refuse('KEY_NOT_YET_VALID', 'expected a key that is valid when announced', { expected: notBefore, got: said.time });
}

/** Publisher, audience and subject agree: an event of one ledger cannot be replayed into another. */
function checkRoute(
  state: LedgerState,
  payload: Placement,
  subject: string | undefined,
): Checked<null, 'PUBLISHER_MISMATCH' | 'AUDIENCE_MISMATCH' | 'SUBJECT_MISMATCH'> {
  if (payload.publisher !== state.publisher) {
    return refuse('PUBLISHER_MISMATCH', 'expected another publisher', { expected: state.publisher, got: payload.publisher });
  }
  if (payload.audience !== state.audience) {
    return refuse('AUDIENCE_MISMATCH', 'expected another audience', { expected: state.audience, got: payload.audience });
  }
  if (subject === undefined) return accept(null);
  const own = eventSubject(payload);
  if (subject === own) return accept(null);
  return refuse('SUBJECT_MISMATCH', 'expected another subject', { expected: own, got: subject.slice(0, 256) });
}

/** At or below the head the digest decides (repeat or fork): a fork is worth more as proof than as a reused id. */
function checkId(state: LedgerState, payload: Placement, ctx: AdmissionContext): Checked<null, 'ID_REUSED'> {
  if (positionOf(payload.seq) <= positionOf(state.head?.seq) || !ctx.hasId(payload.id)) return accept(null);
  return refuse('ID_REUSED', 'expected an id that this ledger has not seen', { got: payload.id });
}

/** Position and predecessor. `undefined`: the event is the next one. */
function checkChain(
  state: LedgerState,
  payload: Placement,
  envelope: ReadEnvelope,
  ctx: AdmissionContext,
): Admission | undefined {
  const expected = positionOf(state.head?.seq) + 1;
  const got = positionOf(payload.seq);
  if (got > expected) return { kind: 'gap', expectedSeq: seqOf(expected), gotSeq: payload.seq };
  if (got < expected) {
    const held = ctx.digestAt(payload.seq);
    if (held === undefined) throw new Error(`impossible: nothing is held at ${payload.seq}, below the head`);
    if (held === envelope.digest) return { kind: 'repeat', digest: held };
    return { kind: 'fork', seq: payload.seq, held, got: envelope.digest };
  }
  if (state.head === null) {
    if (payload.prev === GENESIS) return undefined;
    return refused(
      refuse('GENESIS_EXPECTED', 'expected the genesis digest before the first event', { expected: GENESIS, got: payload.prev }),
    );
  }
  if (payload.prev === state.head.digest) return undefined;
  // The publisher signed that another event stands where we hold one.
  return { kind: 'fork', seq: state.head.seq, held: state.head.digest, got: payload.prev };
}

/** Every cause is an event that the audience itself published to this publisher. */
function checkCauses(payload: Placement, ctx: AdmissionContext): Admission | undefined {
  const unknown = payload.causes.find((cause) => !ctx.hasCause(cause));
  return unknown === undefined ? undefined : { kind: 'unknown-cause', digest: unknown };
}

/** A placed event stays; void or not, it is the new head. */
function place(state: LedgerState, envelope: ReadEnvelope, reading: Reading): Admission {
  const { payload } = reading;
  const evolved = reading.event === undefined ? { keys: state.keys } : evolveKeys(state.keys, reading.event, envelope.keyid);
  const voidCode = reading.voidCode ?? evolved.voidCode;
  return {
    kind: 'placed',
    state: { ...state, head: { seq: payload.seq, digest: envelope.digest }, keys: evolved.keys },
    digest: envelope.digest,
    payload,
    event: reading.event,
    ...(voidCode === undefined ? {} : { voidCode }),
  };
}
