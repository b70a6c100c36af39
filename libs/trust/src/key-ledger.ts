import { type Event, type EventOf, event, type Seq, type TrustDomain } from '@carnet/events';
import { fromBase64 } from '#primitives';
import type { AnnouncedKey, LedgerState } from './admission.ts';
import { positionOf, seqOf } from './bytes.ts';
import type { VoidCode } from './codes.ts';
import { pae } from './envelope.ts';
import { VERIFIERS_REMEMBERED_MAX } from './limits.ts';
import { ed25519KeyId, readEd25519Key, type Verifier } from './signature.ts';
import { parseStrictJson } from './strict-json.ts';

/** Separates what the X.509 identity says about event keys from everything else that it signs. */
const KEY_STATEMENT_TYPE = 'application/vnd.carnet.key-statement.v1+json';

type Unsigned<T> = Omit<T, 'chain' | 'signature'>;
/** What the X.509 identity says about an event key; the data of the event without its proof. */
export type KeyStatement = Unsigned<EventOf<'KeyAnnounced'>['data']> | Unsigned<EventOf<'KeyRevoked'>['data']>;

/**
 * The bytes that the leaf of `chain` signs (RSASSA-PSS, SHA-256) in `KeyAnnounced` and `KeyRevoked`. Bound to one ledger, so
 * that a statement made to one peer is worth nothing to another.
 */
export function keyAnnouncementBytes(publisher: TrustDomain, audience: TrustDomain, data: KeyStatement): Uint8Array {
  const said =
    'lastSeq' in data
      ? ['KeyRevoked', publisher, audience, data.keyid, data.lastSeq, data.reason.code, data.reason.text]
      : ['KeyAnnounced', publisher, audience, data.keyid, data.algorithm, data.publicKey, data.notBefore];
  return pae(KEY_STATEMENT_TYPE, new TextEncoder().encode(JSON.stringify(said)));
}

// A cache of pure results: public key in base64 → verifier. Parsing a key costs more than verifying with it.
const remembered = new Map<string, Verifier>();

/** `undefined` when the key is not sound. */
function verifierOf(publicKey: string): Verifier | undefined {
  const known = remembered.get(publicKey);
  if (known !== undefined) return known;
  const verifier = readEd25519Key(fromBase64(publicKey));
  if (verifier === undefined) return undefined;
  if (remembered.size >= VERIFIERS_REMEMBERED_MAX) remembered.clear();
  remembered.set(publicKey, verifier);
  return verifier;
}

/** The verifier of a key that this ledger announced, whether it is still current or not. */
export function announcedVerifier(keys: readonly AnnouncedKey[], keyid: string): Verifier | undefined {
  const key = keys.find((k) => k.keyid === keyid);
  return key === undefined ? undefined : verifierOf(key.publicKey);
}

/**
 * The verifier of a key that this very payload introduces: a `KeyAnnounced` is signed by the key that it announces, which
 * proves possession, and needs no older key, which may be lost. Reads bytes that nothing has vouched for yet; the strict parser
 * and schema stand before them, and the certificate check after.
 */
export function introducedVerifier(payload: Uint8Array, keyid: string): Verifier | 'unsound' | undefined {
  const json = parseStrictJson(payload);
  const parsed = json.ok ? event.safeParse(json.value) : undefined;
  if (parsed?.data?.type !== 'KeyAnnounced' || parsed.data.data.keyid !== keyid) return undefined;
  const raw = fromBase64(parsed.data.data.publicKey);
  if (ed25519KeyId(raw) !== keyid) return 'unsound';
  // Not remembered: whoever floods us with keys must not push out those that were announced.
  return readEd25519Key(raw) ?? 'unsound';
}

/** Whether a key may sign at a position, as the ledger stands. */
export function isCurrent(key: AnnouncedKey, position: Seq): boolean {
  const at = positionOf(position);
  return positionOf(key.from) <= at && (key.to === undefined || at <= positionOf(key.to));
}

/** The keys after a placed event, or the reason why it is void. */
export function evolveKeys(
  keys: LedgerState['keys'],
  placed: Event,
  signer: string,
): { readonly keys: LedgerState['keys']; readonly voidCode?: VoidCode } {
  if (placed.type === 'KeyAnnounced') return announce(keys, placed, signer);
  if (placed.type === 'KeyRevoked') return revoke(keys, placed);
  return { keys };
}

function announce(keys: LedgerState['keys'], placed: EventOf<'KeyAnnounced'>, signer: string): ReturnType<typeof evolveKeys> {
  // A revoked key's holder could otherwise bring it back with the statement that once introduced it.
  if (keys.some((k) => k.keyid === placed.data.keyid)) return { keys, voidCode: 'KEY_REUSED' };
  if (placed.data.keyid !== signer) return { keys, voidCode: 'KEY_NOT_SELF_SIGNED' };
  // Replicas change keys one after the other, so the key before this one goes on until a `KeyRevoked` ends it; older ones do not.
  const before = positionOf(placed.seq) - 1;
  const overlapping = newestOf(keys.filter(({ to }) => to === undefined));
  const ended = keys.map((k) => (k === overlapping ? k : endAt(k, before)));
  return { keys: [...ended, { keyid: placed.data.keyid, publicKey: placed.data.publicKey, from: placed.seq }] };
}

/** What is placed stays: a revocation reaches no further back than its own position. */
function revoke(keys: LedgerState['keys'], placed: EventOf<'KeyRevoked'>): ReturnType<typeof evolveKeys> {
  const { keyid, lastSeq } = placed.data;
  if (!keys.some((k) => k.keyid === keyid)) return { keys, voidCode: 'KEY_UNKNOWN' };
  const last = Math.max(positionOf(lastSeq), positionOf(placed.seq));
  const revoked = { at: placed.seq, lastSeq };
  return { keys: keys.map((k) => (k.keyid === keyid ? { ...endAt(k, last), revoked } : k)) };
}

/** Never lengthens a key's life; a key that was never current ends where it begins. */
function endAt(key: AnnouncedKey, position: number): AnnouncedKey {
  if (key.to !== undefined && positionOf(key.to) <= position) return key;
  return { ...key, to: seqOf(Math.max(position, positionOf(key.from))) };
}

const newestOf = (keys: readonly AnnouncedKey[]): AnnouncedKey | undefined =>
  keys.toSorted((a, b) => positionOf(b.from) - positionOf(a.from))[0];

/** The keys that may sign at the next position, newest first: one, or two while keys are changed. */
export function currentKeys(state: LedgerState): readonly AnnouncedKey[] {
  const next = seqOf(positionOf(state.head?.seq) + 1);
  return state.keys.filter((key) => isCurrent(key, next)).toSorted((a, b) => positionOf(b.from) - positionOf(a.from));
}
