import { type Digest, PAYLOAD_TYPES, type PeerMessage, peerMessage, type TrustDomain } from '@carnet/events';
import {
  accept,
  type Checked,
  type EnvelopeCode,
  ed25519Verifier,
  type JsonCode,
  type LedgerState,
  openEnvelope,
  parseStrictJson,
  refuse,
  signEnvelope,
  type Verifier,
} from '@carnet/trust';
import type { MessageCode } from './codes.ts';
import { MESSAGE_SKEW_MS_MAX } from './limits.ts';
import type { EventSigner } from './ports.ts';

const utf8 = new TextEncoder();

export const signMessage = (message: PeerMessage, signer: EventSigner): Uint8Array =>
  signEnvelope(PAYLOAD_TYPES.peerMessage, utf8.encode(JSON.stringify(message)), signer);

export type MessageRefusalCode = MessageCode | EnvelopeCode | JsonCode;

/**
 * A peer's message, once its envelope, its signature by a key that is current in the peer's ledger to us, its form, its
 * addresses and its date have passed.
 */
export function openMessage(
  bytes: Uint8Array,
  ledger: LedgerState,
  nowMs: number,
): Checked<{ readonly message: PeerMessage; readonly digest: Digest }, MessageRefusalCode> {
  if (ledger.keys.length === 0) return refuse('PEER_UNANNOUNCED', 'expected a key announcement first');
  const opened = openEnvelope(bytes, PAYLOAD_TYPES.peerMessage, (keyid) => currentVerifier(ledger, keyid));
  if (!opened.ok) return opened;
  const json = parseStrictJson(opened.value.payload);
  if (!json.ok) return json;
  const parsed = peerMessage.safeParse(json.value);
  if (!parsed.success) return refuse('MESSAGE_MALFORMED', 'expected a message of this version');
  const message = parsed.data;
  const addressed = checkAddress(message, ledger.publisher, ledger.audience);
  if (!addressed.ok) return addressed;
  const dated = Math.abs(Date.parse(message.time) - nowMs);
  // NaN, of a day that does not exist, fails the comparison.
  if (!(dated <= MESSAGE_SKEW_MS_MAX)) return refuse('MESSAGE_STALE', 'expected a message of now', { got: message.time });
  return accept({ message, digest: opened.value.digest });
}

function checkAddress(message: PeerMessage, from: TrustDomain, to: TrustDomain): Checked<null, 'MESSAGE_MISADDRESSED'> {
  if (message.from === from && message.to === to) return accept(null);
  return refuse('MESSAGE_MISADDRESSED', 'expected another sender or receiver', {
    expected: `${from} to ${to}`,
    got: `${message.from} to ${message.to}`,
  });
}

function currentVerifier(ledger: LedgerState, keyid: string): Verifier | undefined {
  const key = ledger.keys.find((announced) => announced.keyid === keyid && announced.to === undefined);
  return key === undefined ? undefined : ed25519Verifier(Buffer.from(key.publicKey, 'base64'));
}
