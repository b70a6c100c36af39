import { type Digest, type Event, event, type Placement, placement, type Timestamp, timestamp } from '@carnet/events';
import { sha256Hex } from '@carnet/trust';
import type { Selectable } from 'kysely';
import { JournalError } from './error.ts';
import type { StoredLedger } from './ledgers.ts';
import { READ_BYTES_MAX } from './limits.ts';
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
  /** When it was appended or admitted here, by our clock. Of our own: not the time that it says only where a database had lost it, and it came home. */
  readonly placedAt: Timestamp;
  readonly published: PublishedState;
};

/** The watermarks that an event's published state follows from: kept once for each ledger, not once for each event. */
export type Watermarks = Pick<StoredLedger, 'acked_seq' | 'read_back_seq' | 'covered_seq'>;

const utf8 = new TextDecoder();

/** The payload inside an envelope whose bytes are known: verified when it was placed, so only taken apart here. */
export function payloadOf(envelope: Uint8Array): unknown {
  const { payload } = JSON.parse(utf8.decode(envelope));
  return JSON.parse(Buffer.from(String(payload), 'base64').toString('utf8'));
}

/** What a fold needs of an event. */
export type PlacedEvent = Pick<StoredEvent, 'digest' | 'placement' | 'event'>;
/** And what tells whether rows that were committed with it may be missing. */
export type EventOfVm = PlacedEvent & Pick<StoredEvent, 'placedAt'>;
type Read = Omit<PlacedEvent, 'digest'>;

/** What was read lately, oldest first: each look at a journey reads the same events again, and an envelope never changes. */
const remembered = new Map<Digest, Read & { readonly envelope: Uint8Array }>();
let rememberedBytes = 0;

/** The same bytes as before have been read before; a digest alone is what the database says. */
function readEnvelope({ digest, envelope }: Pick<Selectable<EventRow>, 'digest' | 'envelope'>): Read {
  const known = remembered.get(digest);
  if (known !== undefined) forget(digest, known.envelope);
  const read = known !== undefined && Buffer.compare(known.envelope, envelope) === 0 ? known : readAnew(digest, envelope);
  remembered.set(digest, { placement: read.placement, event: read.event, envelope });
  rememberedBytes += envelope.length;
  for (const [oldest, { envelope: bytes }] of remembered) {
    if (rememberedBytes <= READ_BYTES_MAX) break;
    forget(oldest, bytes);
  }
  return { placement: read.placement, event: read.event };
}

export const placedEvent = (row: Pick<Selectable<EventRow>, 'digest' | 'envelope'>): PlacedEvent => ({
  digest: row.digest,
  ...readEnvelope(row),
});

export const eventOfVm = (row: Pick<Selectable<EventRow>, 'digest' | 'envelope' | 'placed_at'>): EventOfVm => ({
  ...placedEvent(row),
  placedAt: timestamp.parse(row.placed_at),
});

function forget(digest: Digest, envelope: Uint8Array): void {
  remembered.delete(digest);
  rememberedBytes -= envelope.length;
}

/** The signature was verified when the event was placed; that these are still those bytes, only the digest says. */
function readAnew(digest: Digest, envelope: Uint8Array): Read {
  if (sha256Hex(envelope) !== digest) throw new JournalError('LEDGER_BROKEN', `event ${digest} is damaged`);
  const payload = payloadOf(envelope);
  const placed = placement.safeParse(payload);
  if (!placed.success) throw new JournalError('LEDGER_BROKEN', `event ${digest} cannot be read`, { cause: placed.error });
  return { placement: placed.data, event: event.safeParse(payload).data };
}

/** @param watermarks of the event's ledger; absent for a ledger of the peer's */
export function storedEvent(row: Selectable<EventRow>, watermarks: Watermarks | undefined): StoredEvent {
  return {
    ...placedEvent(row),
    ...(row.void_code === null ? {} : { voidCode: row.void_code }),
    envelope: row.envelope,
    placedAt: timestamp.parse(row.placed_at),
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
    envelope: placed.envelope,
  };
}
