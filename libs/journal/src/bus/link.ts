import type { TrustDomain } from '@carnet/events';
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { API_PREFIX } from '../bus-config.ts';
import { JOURNAL_CODES } from '../codes.ts';
import { compareWithBus } from '../comparison.ts';
import { JournalError } from '../error.ts';
import { openExchange } from '../exchange.ts';
import { receiveResent } from '../homecoming.ts';
import type { JournalParts } from '../journal.ts';
import { BUS_ANSWER_MS_MAX, HELD_SAID_EVERY_MS, LEASE_EVERY_MS } from '../limits.ts';
import type { Notice } from '../notices.ts';
import { openOutbox } from '../outbox.ts';
import type { Received } from '../receive.ts';
import { openChannel } from './channel.ts';
import { type BusAddress, type BusConnection, closeInTime, connectWatched } from './connection.ts';
import { follow } from './follower.ts';
import type { Intake } from './intake.ts';
import { ownOnBus } from './own-stream.ts';
import { bell, pacing, pause, untilStopped } from './pace.ts';
import { openPublisher } from './publisher.ts';

/** What a link needs of a bus. */
export type LinkBus = BusConnection & {
  readonly jetStream: () => Promise<{ readonly client: JetStreamClient; readonly manager: JetStreamManager }>;
};

export const natsLink = (bus: BusConnection): LinkBus => ({
  ...bus,
  jetStream: async () => {
    const api = { apiPrefix: API_PREFIX, timeout: BUS_ANSWER_MS_MAX };
    const manager = await jetstreamManager(bus.connection, { ...api, checkAPI: false });
    return { client: jetstream(bus.connection, api), manager };
  },
});

/**
 * Everything between us and one peer, by one replica at a time: a lease, so that messages of one ledger are not torn between
 * replicas. Two at once would do no harm but work twice.
 */
export async function runLink(
  parts: JournalParts,
  peer: TrustDomain,
  bus: LinkBus,
  intake: Intake,
  stop: AbortSignal,
): Promise<void> {
  const { store, self, random, log } = parts.options;
  const failed = (cause: unknown): void => log.warn({ peer, cause: String(cause) }, 'the link to the peer was interrupted');
  await untilStopped({ signal: stop, random, failed }, async () => {
    // Each replica for itself: whoever talks for all may stand on another machine.
    if (parts.comparisons.isDue(peer)) {
      const { manager } = await bus.jetStream();
      await compareWithBus(parts, peer, ownOnBus(manager, self, peer));
    }
    const lease = await store.tryLease(`bus ${self} ${peer}`);
    if (lease === undefined) {
      await pause(LEASE_EVERY_MS, stop);
      return;
    }
    try {
      await runLeased(parts, peer, bus, intake, AbortSignal.any([stop, lease.signal]));
    } finally {
      await lease.release();
    }
  });
}

async function runLeased(
  parts: JournalParts,
  peer: TrustDomain,
  { connection, reconnects, isUp, jetStream }: LinkBus,
  intake: Intake,
  signal: AbortSignal,
): Promise<void> {
  const { options, headFiles, theirs, notices } = parts;
  const { self, random, log } = options;
  const [headFile, receiver] = [headFiles.get(peer), theirs.get(peer)];
  if (headFile === undefined || receiver === undefined) throw new JournalError('PEER_UNCONFIGURED', peer);
  const outbox = openOutbox(parts, peer, headFile);
  const common = { self, peer, random, log, signal, isUp };
  const { client, manager } = await jetStream();
  const exchange = openExchange(parts, peer, outbox, {
    onBus: ownOnBus(manager, self, peer),
    isHeld: () => intake.heldBy() === 'unanswered',
  });
  const limited = saysLimited(parts, peer);
  const channel = openChannel({
    ...common,
    connection,
    exchange,
    resent: (envelopes) => receiveResent(parts, peer, envelopes, intake),
    hushed: () => limited('talk'),
  });
  const tellable = bell();
  const publisher = openPublisher({ ...common, outbox, jetstream: client, manager, bell: tellable, published: channel.activity });
  const received = (results: readonly Received[]): void => {
    if (results.some(({ kind }) => kind === 'placed')) channel.activity();
    if (results.some(leavesGap)) channel.missing();
  };
  const isOurs = ({ publisher, audience }: Notice): boolean => publisher === self && audience === peer;
  const unsubscribe = notices.subscribe((placed) => {
    if (placed.length === 0 || placed.some(isOurs)) tellable.ring();
  });
  const unwatch = reconnects.add(() => {
    publisher.compareAgain();
    channel.activity();
  });
  try {
    await Promise.all([
      publisher.run(),
      follow({ ...common, receiver, intake, held: limited, jetstream: client, received }),
      channel.run(),
    ]);
  } finally {
    unsubscribe();
    unwatch();
  }
}

const leavesGap = (result: Received): boolean =>
  result.kind === 'gap' || result.kind === 'unknown-cause' || (result.kind === 'refused' && result.code === 'KEY_NOT_ANNOUNCED');

/** Once a minute at most: a flood must not become one of the log. */
function saysLimited({ options: { log } }: JournalParts, peer: TrustDomain): (by: string) => void {
  const saidMs = new Map<string, number>();
  return (by) => {
    const nowMs = pacing.nowMs();
    if (nowMs - (saidMs.get(by) ?? Number.NEGATIVE_INFINITY) < HELD_SAID_EVERY_MS) return;
    saidMs.set(by, nowMs);
    log.warn({ code: 'PEER_RATE_LIMITED', peer, by }, JOURNAL_CODES.PEER_RATE_LIMITED.text);
  };
}

/**
 * A link of its own connection. Threat: the bus drops whoever does not read fast enough; a peer that floods us must cost us nothing but the
 * connection to that peer.
 */
export async function runOwnLink(
  parts: JournalParts,
  peer: TrustDomain,
  address: BusAddress,
  intake: Intake,
  stop: AbortSignal,
): Promise<void> {
  const { random, log } = parts.options;
  const failed = (cause: unknown): void => log.warn({ peer, cause: String(cause) }, 'the link to the peer could not connect');
  await untilStopped({ signal: stop, random, failed }, async () => {
    const bus = await connectWatched({ ...address, name: `${address.name} to ${peer}` });
    try {
      await runLink(parts, peer, natsLink(bus), intake, stop);
    } finally {
      await closeInTime(bus);
    }
  });
}
