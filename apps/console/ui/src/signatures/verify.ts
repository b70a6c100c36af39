import { base64, type Event, event, PAYLOAD_TYPES } from '@carnet/events';
import { ed25519KeyId, ed25519Verifier, openEnvelope, parseStrictJson, sha256Hex, type Verifier } from '@carnet/trust';
import type { LedgerEntry } from '../live/rows.ts';

/**
 * What this browser found out about one event by itself.
 * `valid`: the signature is good, under a key that this ledger had announced for this position.
 * `unknown-key`: no announcement of the key has been read (yet). `invalid`: the broker shows what its publisher never signed.
 */
export type Verdict =
  | { readonly kind: 'valid'; readonly keyid: string; readonly announcedAt: string; readonly payload: unknown }
  | { readonly kind: 'unknown-key'; readonly text: string }
  | { readonly kind: 'invalid'; readonly code: string; readonly text: string };

/** A key that a ledger announced, and the positions at which it may sign. */
export interface KnownKey {
  readonly publisher: string;
  readonly audience: string;
  readonly keyid: string;
  readonly verifier: Verifier;
  readonly from: number;
  readonly to: number;
}

const bytesOf = (base64: string): Uint8Array => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
const invalid = (code: string, text: string): Verdict => ({ kind: 'invalid', code, text });

/**
 * The keys that ledgers announced, in the order of their ledgers. Each announcement must be signed by the key that it announces. That
 * the CSP's certificate vouches for it is the broker's and the auditor's to check: a browser holds no roots and no CRLs.
 */
export function knownKeys(keyEvents: readonly LedgerEntry[]): readonly KnownKey[] {
  const ordered = keyEvents.toSorted((a, b) => Number(a.seq) - Number(b.seq));
  return ordered.reduce<readonly KnownKey[]>((keys, entry) => {
    const said = payloadOf(entry);
    if (said?.type === 'KeyAnnounced') return announce(keys, entry, said);
    return said?.type === 'KeyRevoked' && verify(entry, keys).kind === 'valid'
      ? revoke(keys, entry, said.data.keyid, Number(said.data.lastSeq))
      : keys;
  }, []);
}

function announce(
  keys: readonly KnownKey[],
  entry: LedgerEntry,
  said: Extract<Event, { type: 'KeyAnnounced' }>,
): readonly KnownKey[] {
  const verifier = soundKey(said.data.publicKey, said.data.keyid);
  if (verifier === undefined) return keys;
  const { publisher, audience } = entry;
  const from = Number(entry.seq);
  const key: KnownKey = { publisher, audience, keyid: said.data.keyid, verifier, from, to: Number.POSITIVE_INFINITY };
  const isNew = !keys.some((k) => sameLedger(k, entry) && k.keyid === key.keyid);
  if (!isNew || verify(entry, [key]).kind !== 'valid') return keys;
  return [...keys.map((k) => (sameLedger(k, entry) ? { ...k, to: Math.min(k.to, from - 1) } : k)), key];
}

/** `undefined` for bytes that are no key, or not the one that they are called. */
function soundKey(publicKey: string, keyid: string): Verifier | undefined {
  const raw = bytesOf(publicKey);
  if (ed25519KeyId(raw) !== keyid) return undefined;
  try {
    return ed25519Verifier(raw);
  } catch {
    return undefined;
  }
}

/** A revocation reaches no further back than its own position: what is placed stays. */
const revoke = (keys: readonly KnownKey[], entry: LedgerEntry, keyid: string, lastSeq: number): readonly KnownKey[] =>
  keys.map((k) =>
    sameLedger(k, entry) && k.keyid === keyid ? { ...k, to: Math.min(k.to, Math.max(lastSeq, Number(entry.seq))) } : k,
  );

type LedgerName = { readonly publisher: string; readonly audience: string };
const sameLedger = (a: LedgerName, b: LedgerName): boolean => a.publisher === b.publisher && a.audience === b.audience;

/** What an envelope says, before anything vouches for it. Only for finding the key that it announces. */
function payloadOf(entry: LedgerEntry): Event | undefined {
  if (!base64.safeParse(entry.envelope).success) return undefined;
  const envelope = parseStrictJson(bytesOf(entry.envelope));
  const payload =
    envelope.ok && typeof envelope.value === 'object' && envelope.value !== null && 'payload' in envelope.value
      ? envelope.value.payload
      : undefined;
  if (!base64.safeParse(payload).success || typeof payload !== 'string') return undefined;
  const json = parseStrictJson(bytesOf(payload));
  return json.ok ? event.safeParse(json.value).data : undefined;
}

/** Checks one entry against its own bytes, and what the broker says about it against what was signed. */
export function verify(entry: LedgerEntry, keys: readonly KnownKey[]): Verdict {
  try {
    return judge(entry, keys);
  } catch (cause) {
    return invalid('ENVELOPE_MALFORMED', cause instanceof Error ? cause.message : String(cause));
  }
}

function judge(entry: LedgerEntry, keys: readonly KnownKey[]): Verdict {
  const bytes = bytesOf(entry.envelope);
  if (sha256Hex(bytes) !== entry.digest) return invalid('DIGEST_DIFFERS', 'the envelope has another digest than the broker says');
  const position = Number(entry.seq);
  const find = (keyid: string): KnownKey | undefined =>
    keys.find((k) => sameLedger(k, entry) && k.keyid === keyid && k.from <= position && position <= k.to);
  const opened = openEnvelope(bytes, PAYLOAD_TYPES.event, (keyid) => find(keyid)?.verifier);
  if (!opened.ok)
    return opened.code === 'SIGNER_UNKNOWN'
      ? { kind: 'unknown-key', text: `key ${opened.got ?? ''} was not announced for this position` }
      : invalid(opened.code, opened.text);
  const payload = parseStrictJson(opened.value.payload);
  if (!payload.ok) return invalid(payload.code, payload.text);
  if (!saysTheSame(entry, payload.value))
    return invalid('ENTRY_DIFFERS', 'the broker lists another event than the one that was signed');
  const key = find(opened.value.keyid);
  return { kind: 'valid', keyid: opened.value.keyid, announcedAt: String(key?.from ?? ''), payload: payload.value };
}

/** The list shows the broker's words; they must be the publisher's. */
function saysTheSame(entry: LedgerEntry, payload: unknown): boolean {
  if (typeof payload !== 'object' || payload === null) return false;
  const said: Readonly<Record<string, unknown>> = { ...payload };
  return (['publisher', 'audience', 'seq', 'type', 'time', 'migration'] as const).every((field) => said[field] === entry[field]);
}
