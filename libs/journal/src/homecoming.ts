import { GENESIS, type TrustDomain } from '@carnet/events';
import { positionOf } from '@carnet/trust';
import type { Intake } from './bus/intake.ts';
import { pacing } from './bus/pace.ts';
import type { Delivery } from './early.ts';
import { JournalError } from './error.ts';
import type { JournalParts } from './journal.ts';
import { keepUpTo } from './keep.ts';
import { endOf, readLedger } from './ledgers.ts';
import { peek } from './peek.ts';
import { isQuarantined, quarantine } from './quarantine.ts';
import type { Received } from './receive.ts';
import { payloadOf } from './stored-event.ts';

/**
 * Re-sent envelopes of either ledger, as they come on the channel between peers; each vouches for itself. A peer that is held is held on
 * either way, and asked again later; what comes home to us never is.
 */
export async function receiveResent(
  parts: JournalParts,
  peer: TrustDomain,
  envelopes: readonly Uint8Array[],
  intake: Intake,
): Promise<readonly Received[]> {
  const { self } = parts.options;
  const startedMs = pacing.nowMs();
  const ours = envelopes.filter((envelope) => claimedPublisher(envelope) === self);
  const theirs = intake.heldBy() === undefined ? envelopes.filter((envelope) => claimedPublisher(envelope) !== self) : [];
  const returned =
    ours.length === 0
      ? []
      : await receiveOwn(
          parts,
          peer,
          ours.map((envelope) => ({ envelope })),
          'elsewhere',
        );
  // What came home may be the cause that an event of the peer's was waiting for.
  const admitted =
    theirs.length > 0 || returned.some(({ kind }) => kind === 'placed')
      ? await receiverOf(parts.theirs, peer).receive(theirs.map((envelope) => ({ envelope })))
      : [];
  if (theirs.length > 0)
    intake.took(
      theirs.reduce((sum, { length }) => sum + length, 0),
      pacing.nowMs() - startedMs,
    );
  return [...returned, ...admitted];
}

/** What our stream on the bus holds of our ledger to the peer beyond `afterSeq`, unverified: what comes next, or at least the newest. All up to `toldSeq` was told. */
export type OwnOnBus = (afterSeq: number, toldSeq: number) => Promise<readonly Delivery[]>;

/** `elsewhere`: from a peer or the bus, so it was told. `own-files`: perhaps it was only relied on. */
type From = 'elsewhere' | 'own-files';

/** Events of our own that come back: verified with our own key. That any was missing means that this database was restored. */
async function receiveOwn(
  parts: JournalParts,
  peer: TrustDomain,
  deliveries: readonly Delivery[],
  from: From,
): Promise<readonly Received[]> {
  const { db, options, ours, roster } = parts;
  const inQuarantine = await isQuarantined(db, options.self, roster.peers);
  const received = await receiverOf(ours, peer).receive(deliveries);
  const isHome = received.some(({ kind }) => kind === 'placed');
  if (!inQuarantine && isHome) await quarantine(db, options, `events of ours came back from ${peer} that were not here`);
  if (isHome && from === 'elsewhere') await keepAsTold(parts, peer);
  return received;
}

/** The file may have been lost as well. What was told is sent again to whoever asks, also in quarantine: two who were both set back know each other by it. */
async function keepAsTold({ db, options, headFiles }: JournalParts, peer: TrustDomain): Promise<void> {
  const ledger = { publisher: options.self, audience: peer };
  const [file, end] = [headFiles.get(peer), endOf(await readLedger(db, ledger))];
  if (file !== undefined && end !== undefined) await keepUpTo(db, ledger, file, { end, purpose: 'told' });
}

/** Events of ours that were kept outside of the database. */
export async function bringHomeKept(parts: JournalParts, peer: TrustDomain): Promise<void> {
  const kept = await parts.headFiles.get(peer)?.read();
  if (kept !== undefined) await bringHome(parts, peer, kept.events, 'own-files');
}

/**
 * All that the bus holds of ours and that follows what is here. Answers where our ledger goes on of which the bus has lost what comes next.
 *
 * @param toldSeq as `OwnOnBus` says
 * @param found before anything comes home: there is something that is not here
 */
export async function bringHomeFromBus(
  parts: JournalParts,
  peer: TrustDomain,
  onBus: OwnOnBus,
  toldSeq: number,
  found: () => Promise<void> = async () => undefined,
): Promise<number | undefined> {
  const { db, options } = parts;
  const headSeq = async (): Promise<number> => (await readLedger(db, { publisher: options.self, audience: peer })).head_seq;
  for (;;) {
    const from = await headSeq();
    const deliveries = await onBus(from, toldSeq);
    if (deliveries.length === 0) return undefined;
    // Another replica decided it, or had it home, meanwhile.
    if ((await headSeq()) > from) continue;
    await found();
    if (!(await bringHome(parts, peer, deliveries, 'elsewhere')))
      return Math.max(...deliveries.map(({ envelope }) => positionOf(peek(envelope).seq)));
  }
}

/**
 * From our own files or our stream on the bus: whatever of it follows what is here. What does not is no proof against anybody: it
 * stays out, and the ledger in quarantine. True: some came home.
 */
async function bringHome(parts: JournalParts, peer: TrustDomain, deliveries: readonly Delivery[], from: From): Promise<boolean> {
  const { head_seq, head_digest } = await readLedger(parts.db, { publisher: parts.options.self, audience: peer });
  const following: Delivery[] = [];
  let end = { seq: head_seq, digest: head_digest ?? GENESIS };
  for (const { delivery, peeked } of inOrder(deliveries)) {
    const { digest, seq, prev } = peeked;
    if (positionOf(seq) !== end.seq + 1 || prev !== end.digest) continue;
    following.push(delivery);
    end = { seq: end.seq + 1, digest };
  }
  if (following.length === 0) return false;
  const received = await receiveOwn(parts, peer, following, from);
  const home = received.filter(({ kind }) => kind === 'placed').length;
  if (home > 0)
    parts.options.log.warn({ peer, events: home, from: head_seq + 1 }, 'events of ours that this database had lost are back');
  return home > 0;
}

const inOrder = (deliveries: readonly Delivery[]) =>
  deliveries
    .map((delivery) => ({ delivery, peeked: peek(delivery.envelope) }))
    .sort((a, b) => positionOf(a.peeked.seq) - positionOf(b.peeked.seq));

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
