import { type Digest, type Event, event, type Placement, placement, type Timestamp, timestamp } from '@carnet/events';
import type { Selectable } from 'kysely';
import { JournalError } from './error.ts';
import type { StoredLedger } from './ledgers.ts';
import type { EventRow } from './tables.ts';

/**
 * How far an event of ours has come: decided only; acknowledged by the bus; read back from it with an equal digest;
 * covered by the peer's signed head. `received`: an event of the peer's.
 */
export type PublishedState = 'decided' | 'acked' | 'read-back' | 'covered' | 'received';

/** An event as it is kept. */
export type StoredEvent = {
  readonly digest: Digest;
  readonly placement: Placement;
  /** `undefined` when its own schema refuses it: then `voidCode` says why. */
  readonly event: Event | undefined;
  readonly voidCode?: string;
  /** The exact bytes that were signed. */
  readonly envelope: Uint8Array;
  /** When it was appended or admitted here, by our clock. */
  readonly placedAt: Timestamp;
  /** Decided, and not published before `release`. */
  readonly held: boolean;
  readonly published: PublishedState;
};

/** The watermarks that an event's published state follows from: kept once for each ledger, not once for each event. */
export type Watermarks = Pick<StoredLedger, 'acked_seq' | 'read_back_seq' | 'covered_seq'>;

const utf8 = new TextDecoder();

/** The payload inside an envelope of our own database: verified when it was placed, so only taken apart here. */
export function payloadOf(envelope: Uint8Array): unknown {
  const { payload } = JSON.parse(utf8.decode(envelope));
  return JSON.parse(Buffer.from(String(payload), 'base64').toString('utf8'));
}

/** @param watermarks of the event's ledger; absent for a ledger of the peer's */
export function storedEvent(row: Selectable<EventRow>, watermarks: Watermarks | undefined): StoredEvent {
  const payload = payloadOf(row.envelope);
  const placed = placement.safeParse(payload);
  if (!placed.success) throw new JournalError('LEDGER_BROKEN', `event ${row.digest} cannot be read`, { cause: placed.error });
  const whole = event.safeParse(payload);
  return {
    digest: row.digest,
    placement: placed.data,
    event: whole.data,
    ...(row.void_code === null ? {} : { voidCode: row.void_code }),
    envelope: row.envelope,
    placedAt: timestamp.parse(row.placed_at),
    held: row.held,
    published: watermarks === undefined ? 'received' : publishedState(row.seq, watermarks),
  };
}

export function publishedState(seq: number, watermarks: Watermarks): PublishedState {
  if (seq <= watermarks.covered_seq) return 'covered';
  if (seq <= watermarks.read_back_seq) return 'read-back';
  return seq <= watermarks.acked_seq ? 'acked' : 'decided';
}

/** What is written of a placed event, whoever published it. */
export function eventRow(
  placed: {
    readonly digest: Digest;
    readonly payload: Placement;
    readonly event: Event | undefined;
    readonly voidCode?: string;
    readonly envelope: Uint8Array;
  },
  placedAt: Timestamp,
  held: 'held' | 'free',
): EventRow {
  const { payload } = placed;
  return {
    digest: placed.digest,
    publisher: payload.publisher,
    audience: payload.audience,
    seq: Number(payload.seq),
    id: payload.id,
    type: payload.type,
    migration: payload.migration ?? null,
    epoch: payload.epoch ?? null,
    vm: placed.event?.type === 'MigrationIntended' ? placed.event.data.vm : null,
    time: payload.time,
    placed_at: placedAt,
    void_code: placed.voidCode ?? null,
    held: held === 'held',
    envelope: placed.envelope,
  };
}
