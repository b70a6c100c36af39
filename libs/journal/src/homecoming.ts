import type { TrustDomain } from '@carnet/events';
import type { Delivery } from './early.ts';
import { JournalError } from './error.ts';
import type { JournalParts } from './journal.ts';
import { quarantine, quarantinedPeers } from './quarantine.ts';
import type { Received } from './receive.ts';
import { payloadOf } from './stored-event.ts';

/** Re-sent envelopes of either ledger, as they come on the channel between peers; each vouches for itself. */
export async function receiveResent(
  parts: JournalParts,
  peer: TrustDomain,
  envelopes: readonly Uint8Array[],
): Promise<readonly Received[]> {
  const { self } = parts.options;
  const ours = envelopes.filter((envelope) => claimedPublisher(envelope) === self);
  const theirs = envelopes.filter((envelope) => claimedPublisher(envelope) !== self);
  const returned =
    ours.length === 0
      ? []
      : await receiveOwn(
          parts,
          peer,
          ours.map((envelope) => ({ envelope })),
        );
  // What came home may be the cause that an event of the peer's was waiting for.
  const admitted =
    theirs.length > 0 || returned.some(({ kind }) => kind === 'placed')
      ? await receiverOf(parts.theirs, peer).receive(theirs.map((envelope) => ({ envelope })))
      : [];
  return [...returned, ...admitted];
}

/** Events of our own that come back: verified with our own key. That any was missing means that this database was restored. */
export async function receiveOwn(
  parts: JournalParts,
  peer: TrustDomain,
  deliveries: readonly Delivery[],
): Promise<readonly Received[]> {
  const { db, options, ours } = parts;
  const inQuarantine = (await quarantinedPeers(db, options.self)).length > 0;
  const received = await receiverOf(ours, peer).receive(deliveries);
  if (!inQuarantine && received.some(({ kind }) => kind === 'placed'))
    await quarantine(db, options, `events of ours came back from ${peer} that were not here`);
  return received;
}

const receiverOf = (receivers: JournalParts['theirs'], peer: TrustDomain) => {
  const receiver = receivers.get(peer);
  if (receiver === undefined) throw new JournalError('PEER_UNCONFIGURED', peer);
  return receiver;
};

function claimedPublisher(envelope: Uint8Array): unknown {
  try {
    const payload = payloadOf(envelope);
    return typeof payload === 'object' && payload !== null && 'publisher' in payload ? payload.publisher : undefined;
  } catch {
    return undefined;
  }
}
