import { PAYLOAD_TYPES, type PeerMessage, peerMessage } from '@carnet/events';
import { type LedgerState, openEnvelope, parseStrictJson } from '@carnet/trust';

/** What a peer may ask of us whose key has not come here. */
export type StrangersQuestion = Extract<PeerMessage, { readonly kind: 'ask' | 'challenge' }>;

/**
 * A question that nobody can verify here: its sender has announced no key, or this database has lost it. Both may be waiting for
 * each other then, one of them in quarantine, so it is answered, and nothing else follows from it. An answer tells the peer's own
 * channel what the peer has a right to, and what the bus carries anyway: our events for it, and that we hold nothing of it.
 */
export function strangersQuestion(bytes: Uint8Array, ledger: LedgerState): StrangersQuestion | undefined {
  const opened = openEnvelope(bytes, PAYLOAD_TYPES.peerMessage, () => UNVERIFIED);
  const json = opened.ok ? parseStrictJson(opened.value.payload) : undefined;
  const message = json?.ok === true ? peerMessage.safeParse(json.value).data : undefined;
  if (message === undefined || (message.kind !== 'ask' && message.kind !== 'challenge')) return undefined;
  return message.from === ledger.publisher && message.to === ledger.audience ? message : undefined;
}

const UNVERIFIED = { verify: () => true };
