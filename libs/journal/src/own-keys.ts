import type { TrustDomain } from '@carnet/events';
import { accept, type Checked, refuse } from '@carnet/trust';
import type { AppendCode } from './codes.ts';
import type { KeyEnding } from './draft.ts';
import type { JournalParts } from './journal.ts';
import { readLedger } from './ledgers.ts';

/** A ledger that has not begun is left alone: an empty database may be one that was lost. */
export async function tendKeys({ options, db, appenders }: JournalParts): Promise<void> {
  for (const [audience, append] of appenders) {
    const { head_digest } = await readLedger(db, { publisher: options.self, audience });
    if (head_digest !== null) await append(async () => ({ drafts: [], announce: true, value: null }));
  }
}

/** The X.509 identity's word, as for announcements; the event itself is signed by the key that is in use. */
export async function endKey(
  { options, db, appenders }: JournalParts,
  audience: TrustDomain,
  ending: KeyEnding,
): Promise<Checked<null, AppendCode | 'KEY_IN_USE' | 'KEY_UNKNOWN' | 'KEY_ENDED'>> {
  const append = appenders.get(audience);
  if (append === undefined) return refuse('PEER_UNKNOWN', 'expected a configured peer', { got: audience });
  if (options.signing().signer.keyid === ending.keyid)
    return refuse('KEY_IN_USE', 'expected a key that signs no more: change the event key first', { got: ending.keyid });
  const { keys } = await readLedger(db, { publisher: options.self, audience });
  const key = keys.find(({ keyid }) => keyid === ending.keyid);
  if (key === undefined) return refuse('KEY_UNKNOWN', 'expected a key of this ledger', { got: ending.keyid });
  if (key.revoked !== undefined) return refuse('KEY_ENDED', 'expected a key that was not ended', { got: `at ${key.revoked.at}` });
  const appended = await append(async () => ({ drafts: [], end: ending, value: null }));
  return appended.ok ? accept(null) : appended;
}
