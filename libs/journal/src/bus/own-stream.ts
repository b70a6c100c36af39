import { ledgerStream, ledgerSubjects, type TrustDomain } from '@carnet/events';
import { positionOf } from '@carnet/trust';
import type { JetStreamManager, StoredMsg } from '@nats-io/jetstream';
import type { OwnOnBus } from '../doubt.ts';
import { OWN_STREAM_MESSAGES_MAX, RESEND_MAX, UNMARKED_MAX } from '../limits.ts';
import { peek } from '../peek.ts';

/** Messages asked for at once. */
const AT_ONCE = 64;

/**
 * Our ledger to a peer as the bus holds it, looked through from its end. A stream that was filled again holds events more than once,
 * so an older one ends nothing while any that was told is missing, or where a publisher may have died while it filled. What the bus claims is bounded here, and
 * verified where it is placed.
 */
export function ownOnBus(manager: JetStreamManager, self: TrustDomain, peer: TrustDomain): OwnOnBus {
  const stream = ledgerStream(self, peer);
  const messagesBefore = (seq: number): Promise<readonly (StoredMsg | null)[]> =>
    Promise.all(
      Array.from({ length: Math.min(AT_ONCE, seq - 1) }, (_, i) => manager.streams.getMessage(stream, { seq: seq - 1 - i })),
    );
  // A long search that found nothing is not repeated before the stream goes on.
  let fruitless = '';
  return async (afterSeq, toldSeq) => {
    const last = await manager.streams.getMessage(stream, { last_by_subj: ledgerSubjects(self, peer) });
    if (last === null || fruitless === `${last.seq} ${afterSeq}`) return [];
    const found = new Map<number, Uint8Array>();
    let newest = Math.max(afterSeq, toldSeq);
    const look = (message: StoredMsg | null): void => {
      const seq = message === null ? 0 : positionOf(peek(message.data).seq);
      newest = Math.max(newest, seq);
      if (message !== null && seq > afterSeq && seq <= afterSeq + RESEND_MAX) found.set(seq, message.data);
    };
    look(last);
    for (let at = last.seq; at > Math.max(1, last.seq - OWN_STREAM_MESSAGES_MAX); at -= AT_ONCE) {
      const isWhole = found.size === Math.min(newest - afterSeq, RESEND_MAX);
      if (isWhole && last.seq - at >= UNMARKED_MAX) break;
      for (const message of await messagesBefore(at)) look(message);
    }
    if (found.size === 0) fruitless = `${last.seq} ${afterSeq}`;
    return [...found.values()].map((envelope) => ({ envelope }));
  };
}
