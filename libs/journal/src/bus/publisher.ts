import { digest, ledgerStream, ledgerSubjects, type TrustDomain } from '@carnet/events';
import { sha256Hex } from '@carnet/trust';
import type { JetStreamClient, JetStreamManager, PubAck, StoredMsg } from '@nats-io/jetstream';
import { BUS_ANSWER_MS_MAX, HEAD_EVERY_MS, OUTBOX_POLL_MS, POLL_MS, PUBLISH_BATCH_MAX } from '../limits.ts';
import type { Outbox, Outgoing } from '../outbox.ts';
import type { Log, RandomBytes } from '../ports.ts';
import { type Bell, pacing, untilStopped } from './pace.ts';

export type PublisherPorts = {
  readonly self: TrustDomain;
  readonly peer: TrustDomain;
  readonly outbox: Outbox;
  readonly jetstream: JetStreamClient;
  readonly manager: JetStreamManager;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** The client keeps in memory, without bound, what is published while it is not connected: so nothing is. */
  readonly isUp: () => boolean;
  /** Rung when something may have become tellable, and after a reconnect. */
  readonly bell: Bell;
  readonly published: () => void;
};

/** Where the publisher stands: the last position the bus acknowledged, and the stream's own number of it. */
type Standing = { readonly ackedSeq: number; readonly streamSeq: number; readonly checkedMs: number };

export type Publisher = {
  readonly run: () => Promise<void>;
  /** The bus may not be what it was: compare before publishing on. */
  readonly compareAgain: () => void;
};

/** Tells our ledger to the bus, in order: publish, await the acknowledgement, read back, mark. Repeats itself until that is done. */
export function openPublisher(ports: PublisherPorts): Publisher {
  let standing: Standing | undefined;
  let confirming: Promise<void> = Promise.resolve();
  const { signal, random, log, peer, outbox, bell } = ports;

  const round = async (): Promise<void> => {
    if (!ports.isUp()) {
      standing = undefined;
      await bell.wait(POLL_MS, signal);
      return;
    }
    try {
      if (standing === undefined || pacing.nowMs() - standing.checkedMs > HEAD_EVERY_MS) {
        await confirming;
        standing = await compareWithStream(ports);
      }
      const outgoing = await outbox.after(standing.ackedSeq, PUBLISH_BATCH_MAX);
      const last = outgoing.at(-1);
      if (last === undefined) {
        await confirming;
        await bell.wait(OUTBOX_POLL_MS, signal);
        return;
      }
      const acks = await publishAll(ports, outgoing);
      const first = acks[0];
      // Numbers that went back, or did not go on: another stream than the one we stood in, and its end by now is what we just published.
      if (first !== undefined && !first.duplicate && first.seq <= standing.streamSeq) {
        standing = undefined;
        await confirming.catch(() => undefined);
        await fillAfter(ports, await eventAt(ports, first.seq - 1));
        return;
      }
      standing = { ...standing, ackedSeq: last.seq, streamSeq: Math.max(standing.streamSeq, ...acks.map(({ seq }) => seq)) };
      ports.published();
      // One batch is confirmed while the next is published; what fails here fails the round after it.
      await confirming;
      confirming = confirm(ports, outgoing, acks, last.seq);
      confirming.catch(() => bell.ring());
    } catch (cause) {
      standing = undefined;
      confirming = Promise.resolve();
      throw cause;
    }
  };

  return {
    run: () =>
      untilStopped(
        {
          signal,
          random,
          failed: (cause, attempt) => log.warn({ peer, attempt, cause: String(cause) }, 'could not publish; the outbox keeps it'),
        },
        round,
      ),
    compareAgain: () => {
      standing = undefined;
      bell.ring();
    },
  };
}

/**
 * The stream's last event against what we believe it acknowledged. A stream that was wiped or restored is behind, and is
 * filled again from there: an empty one, or one whose end is none of ours, from the start.
 */
async function compareWithStream(ports: PublisherPorts): Promise<Standing> {
  const { manager, self, peer } = ports;
  const last = await manager.streams.getMessage(ledgerStream(self, peer), { last_by_subj: ledgerSubjects(self, peer) });
  const seq = await eventOf(ports, last);
  const ackedSeq = await fillAfter(ports, seq);
  return { ackedSeq, streamSeq: seq === 0 ? 0 : (last?.seq ?? 0), checkedMs: pacing.nowMs() };
}

/** Which event of ours this message is; 0: none. */
const eventOf = async ({ outbox }: PublisherPorts, message: StoredMsg | null): Promise<number> =>
  message === null ? 0 : ((await outbox.seqOfDigest(sha256Hex(message.data))) ?? 0);

const eventAt = async (ports: PublisherPorts, streamSeq: number): Promise<number> =>
  streamSeq < 1
    ? 0
    : eventOf(ports, await ports.manager.streams.getMessage(ledgerStream(ports.self, ports.peer), { seq: streamSeq }));

/** The stream holds all up to `seq`. Returns up to where it counts as acknowledged. */
async function fillAfter({ peer, outbox, log }: PublisherPorts, seq: number): Promise<number> {
  const { acked_seq } = await outbox.marks();
  if (seq >= acked_seq) return acked_seq;
  log.warn({ peer, from: seq + 1, to: acked_seq }, 'the bus has lost events of ours: filling it again');
  await outbox.lostAfter(seq);
  return seq;
}

/** Pipelined: the server keeps the order of one connection. The same digest is the same message, however often it is sent. */
function publishAll({ jetstream, self, peer }: PublisherPorts, outgoing: readonly Outgoing[]): Promise<readonly PubAck[]> {
  return Promise.all(
    outgoing.map(({ subject, envelope, digest }) =>
      jetstream.publish(subject, envelope, {
        msgID: digest,
        timeout: BUS_ANSWER_MS_MAX,
        expect: { streamName: ledgerStream(self, peer) },
      }),
    ),
  );
}

async function confirm(
  ports: PublisherPorts,
  outgoing: readonly Outgoing[],
  acks: readonly PubAck[],
  lastSeq: number,
): Promise<void> {
  await ports.outbox.acked(lastSeq);
  await readBackAll(ports, outgoing, acks);
  await ports.outbox.readBack(lastSeq);
}

/** What the bus acknowledged must be what it holds. @throws when it holds something else */
async function readBackAll(
  { manager, self, peer }: PublisherPorts,
  outgoing: readonly Outgoing[],
  acks: readonly PubAck[],
): Promise<void> {
  await Promise.all(
    outgoing.map(async (event, i) => {
      const ack = acks[i];
      if (ack === undefined) throw new Error(`impossible: no acknowledgement of ${event.seq}`);
      const held = await manager.streams.getMessage(ledgerStream(self, peer), { seq: ack.seq });
      const got = held === null ? 'nothing' : sha256Hex(held.data);
      if (got !== event.digest)
        throw new Error(`event ${event.seq} is ${event.digest}, read back ${digest.safeParse(got).data ?? got}`);
    }),
  );
}
