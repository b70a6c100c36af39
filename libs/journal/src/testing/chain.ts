import { type Digest, eventId, GENESIS, type HeadPosition, PAYLOAD_TYPES } from '@carnet/events';
import { seqOf, sha256Hex, signEnvelope } from '@carnet/trust';
import type { KeptEvent } from '../head-file.ts';
import { A, B, eventKeyOf } from './world.ts';

/** A ledger of events as they are signed, each naming the one before it; what they say does not matter here. */
export function chainOf(length: number): readonly KeptEvent[] {
  const events: KeptEvent[] = [];
  for (let seq = 1; seq <= length; seq++) {
    const prev: Digest = events.at(-1)?.digest ?? GENESIS;
    const id = eventId.parse(`01890000-0000-7000-8000-${String(seq).padStart(12, '0')}`);
    const place = { id, type: 'X', v: 1, publisher: A, audience: B, seq: seqOf(seq), prev, causes: [] };
    const payload = { ...place, time: '2026-11-28T10:00:00.000Z', data: { text: 'x'.repeat((seq * 37) % 200) } };
    // As files give it back.
    const envelope = Buffer.from(signEnvelope(PAYLOAD_TYPES.event, Buffer.from(JSON.stringify(payload)), eventKeyOf(A)));
    events.push({ seq, digest: sha256Hex(envelope), envelope });
  }
  return events;
}

export const endOf = (event: Pick<KeptEvent, 'seq' | 'digest'> | undefined): HeadPosition =>
  event === undefined ? null : { seq: seqOf(event.seq), digest: event.digest };
