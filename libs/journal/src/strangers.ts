import { PAYLOAD_TYPES, type PeerMessage, peerMessage } from '@carnet/events';
import { type LedgerState, openEnvelope, parseStrictJson } from '@carnet/trust';

/** What is heard of a peer whose key has not come here. */
export type StrangersMessage = Extract<PeerMessage, { readonly kind: 'head' | 'ask' | 'challenge' | 'answer' }>;

/**
 * A message that nobody can verify here: its sender has announced no key to us, or this database has lost it. One of both may be in
 * quarantine and wait for the other for ever, so questions are answered, a peer that says that it holds nothing of us is told who we
 * are, and is believed where nothing speaks against it; nothing else follows. What we say goes to the peer's own channel: our events
 * for it, and that we hold none of its own.
 */
export function strangersMessage(bytes: Uint8Array, ledger: LedgerState): StrangersMessage | undefined {
  const opened = openEnvelope(bytes, PAYLOAD_TYPES.peerMessage, () => UNVERIFIED);
  const json = opened.ok ? parseStrictJson(opened.value.payload) : undefined;
  const message = json?.ok === true ? peerMessage.safeParse(json.value).data : undefined;
  if (message === undefined || message.from !== ledger.publisher || message.to !== ledger.audience) return undefined;
  return message.kind === 'checkpoint' || message.kind === 'cosigned' ? undefined : message;
}

const UNVERIFIED = { verify: () => true };
