import { ledgerStream, ledgerSubjects, type TrustDomain } from '@carnet/events';
import { positionOf } from '@carnet/trust';
import { JetStreamApiCodes, JetStreamApiError, type JetStreamManager, type StoredMsg } from '@nats-io/jetstream';
import type { Delivery } from '../early.ts';
import type { OwnOnBus } from '../homecoming.ts';
import { OWN_STREAM_AT_ONCE, OWN_STREAM_MESSAGES_MAX, RESEND_MAX, UNMARKED_MAX } from '../limits.ts';
import { peek } from '../peek.ts';

/**
 * Our ledger to a peer as the bus holds it, looked through from its end. A stream that was filled again holds events more than once, so an older one
 * ends nothing while any that was told is missing, nor where a publisher may have died while it filled. Where the bus holds more, and nothing that comes next, the newest
 * of it says so. What the bus claims is bounded here, and verified where it is placed.
 */
export function ownOnBus(manager: JetStreamManager, self: TrustDomain, peer: TrustDomain): OwnOnBus {
  const stream = ledgerStream(self, peer);
  const messagesBefore = (seq: number): Promise<readonly (StoredMsg | null)[]> =>
    Promise.all(
      Array.from({ length: Math.min(OWN_STREAM_AT_ONCE, seq - 1) }, (_, i) =>
        manager.streams.getMessage(stream, { seq: seq - 1 - i }),
      ),
    );
  // A long search that found nothing is not repeated before the stream goes on.
  let fruitless: { readonly of: string; readonly answer: readonly Delivery[] } | undefined;
  return async (afterSeq, toldSeq) => {
    const last = await lastOf(manager, self, peer);
    if (last === null) return [];
    const of = `${last.seq} ${afterSeq}`;
    if (fruitless?.of === of) return fruitless.answer;
    const found = new Map<number, Uint8Array>();
    let newest: { readonly seq: number; readonly data?: Uint8Array } = { seq: Math.max(afterSeq, toldSeq) };
    const look = (message: StoredMsg | null): number => {
      const seq = message === null ? 0 : positionOf(peek(message.data).seq);
      if (message === null || seq <= afterSeq) return seq;
      if (seq > newest.seq) newest = { seq, data: message.data };
      if (seq <= afterSeq + RESEND_MAX) found.set(seq, message.data);
      return seq;
    };
    const isOlder = look(last) < afterSeq;
    for (let at = last.seq; at > Math.max(1, last.seq - OWN_STREAM_MESSAGES_MAX); at -= OWN_STREAM_AT_ONCE) {
      const isWhole = found.size === Math.min(newest.seq - afterSeq, RESEND_MAX);
      if (isWhole && !isOlder && last.seq - at >= UNMARKED_MAX) break;
      for (const message of await messagesBefore(at)) look(message);
    }
    if (found.size > 0) return [...found.values()].map((envelope) => ({ envelope }));
    fruitless = { of, answer: newest.data === undefined ? [] : [{ envelope: newest.data }] };
    return fruitless.answer;
  };
}

/** A stream that is not there has nothing: who runs the bus has not made it yet, or has lost it. */
async function lastOf(manager: JetStreamManager, self: TrustDomain, peer: TrustDomain): Promise<StoredMsg | null> {
  try {
    return await manager.streams.getMessage(ledgerStream(self, peer), { last_by_subj: ledgerSubjects(self, peer) });
  } catch (cause) {
    if (cause instanceof JetStreamApiError && cause.code === JetStreamApiCodes.StreamNotFound) return null;
    throw cause;
  }
}
