import type { Digest, MigrationId, TrustDomain } from '@carnet/events';
import type { Journal, Ledger, PeerState, StoredEvent } from '@carnet/journal';
import type { KeyManager } from '@carnet/keys';
import { mergeLedgers, type Positioned, parseCursor } from '../cursor.ts';
import type { LedgerEntry, PeerRow } from './service.ts';

/**
 * Every ledger that this CSP ever wrote or read, in one fixed order: cursors rely on it. Threat: who has removed a peer has not unsaid what was said
 * to it; an export without that would hide it from the auditor, and a backup could not bring it back.
 */
const ledgersIn = (heads: readonly Ledger[], self: TrustDomain): readonly Ledger[] => {
  const peers = new Set(heads.map(({ publisher, audience }) => (publisher === self ? audience : publisher)));
  return [...peers].toSorted().flatMap((peer) => [
    { publisher: self, audience: peer },
    { publisher: peer, audience: self },
  ]);
};

export type Entry = LedgerEntry & { readonly cursor: string };

/** No place in all ledgers: the entry was asked for by itself. */
const NO_CURSOR = '';

export interface EventFilter {
  readonly migration?: MigrationId;
  readonly digest?: Digest;
  readonly after?: string;
  readonly limit: number;
}

export async function readEvents(journal: Journal, { migration, digest, after, limit }: EventFilter): Promise<readonly Entry[]> {
  if (digest !== undefined) {
    const stored = await journal.event(digest);
    return stored === undefined ? [] : [entryOf({ stored, cursor: NO_CURSOR })];
  }
  if (migration !== undefined) {
    const events = await journal.eventsOfMigrations([migration]);
    return events.slice(0, limit).map((stored) => entryOf({ stored, cursor: NO_CURSOR }));
  }
  const ledgers = ledgersIn(await journal.heads(), journal.self);
  const from = parseCursor(after, ledgers);
  const pages = await Promise.all(ledgers.map((ledger, i) => journal.ledger(ledger, { from: (from[i] ?? 0) + 1, limit })));
  return mergeLedgers(from, pages, limit).map(entryOf);
}

export function entryOf({ stored, cursor }: Positioned): Entry {
  const { placement } = stored;
  return {
    cursor,
    digest: stored.digest,
    publisher: placement.publisher,
    audience: placement.audience,
    seq: placement.seq,
    type: placement.type,
    time: placement.time,
    ...(placement.migration === undefined ? {} : { migration: placement.migration }),
    ...(placement.epoch === undefined ? {} : { epoch: placement.epoch }),
    ...(stored.voidCode === undefined ? {} : { voidCode: stored.voidCode }),
    state: stateOf(stored),
    ...(stored.event === undefined ? {} : { event: stored.event }),
    envelope: Buffer.from(stored.envelope).toString('base64'),
  };
}

function stateOf({ published }: StoredEvent): LedgerEntry['state'] {
  switch (published) {
    case 'decided':
      return 'pending';
    case 'acked':
    case 'read-back':
      return 'published';
    case 'covered':
      return 'acknowledged';
    case 'received':
      return 'received';
  }
}

/** A peer that has been silent for longer than this while we heard from it before. */
const SILENT_MS = 90_000;

export function peerRow(peer: PeerState, nowMs: number, fingerprint: string | undefined): Omit<PeerRow, 'origin'> {
  return {
    domain: peer.peer,
    state: peerStateOf(peer, nowMs),
    ownSeq: Number(peer.own.head?.seq ?? 0),
    acknowledgedSeq: peer.own.coveredSeq,
    receivedSeq: Number(peer.received.head?.seq ?? 0),
    ...(peer.heardAt === undefined ? {} : { lastHeardAt: peer.heardAt }),
    ...(fingerprint === undefined ? {} : { fingerprint }),
  };
}

export function peerStateOf(peer: PeerState, nowMs: number): Exclude<PeerRow['state'], 'unconfirmed'> {
  if (peer.own.quarantinedAt !== undefined) return 'quarantined';
  if (peer.received.frozen !== undefined || peer.own.frozen !== undefined) return 'frozen';
  return peer.heardAt !== undefined && nowMs - Date.parse(peer.heardAt) < SILENT_MS ? 'ready' : 'silent';
}

/** What both CSPs signed of one ledger; `note` is C2SP's signed note, whole. */
export interface CheckpointRow {
  readonly publisher: string;
  readonly audience: string;
  /** Events that it covers. */
  readonly size: number;
  readonly note: string;
}

/** Lines of an export at once: one page of a ledger. */
const EXPORT_PAGE = 500;

/**
 * Both directions of every ledger, each envelope exactly as chained; then the newest cosigned checkpoint of each, and the histories of
 * this CSP's own keys. The first line says whose view this is; the auditor trusts nothing else in it. All ledgers end where they ended in
 * one moment: whatever an event relies on, and a checkpoint covers, is there, so that the export can be imported.
 */
export async function* exportLines(
  journal: Pick<Journal, 'self' | 'ledger' | 'heads' | 'checkpoints'>,
  exportedAt: string,
  wanted: string | undefined,
  keys: Pick<KeyManager, 'usesHead' | 'historyLines'>,
): AsyncGenerator<string> {
  yield JSON.stringify({ carnet: 'ledger-export', v: 1, self: journal.self, exportedAt, keyUses: await keys.usesHead() });
  const checkpoints = await journal.checkpoints();
  const heads = await journal.heads();
  for (const ledger of ledgersIn(heads, journal.self)) {
    if (wanted !== undefined && ledger.publisher !== wanted && ledger.audience !== wanted) continue;
    const head = heads.find(({ publisher, audience }) => publisher === ledger.publisher && audience === ledger.audience)?.head;
    const end = Number(head?.seq ?? 0);
    for (let from = 1; from <= end; from += EXPORT_PAGE)
      for (const { envelope } of await journal.ledger(ledger, { from, limit: Math.min(EXPORT_PAGE, end - from + 1) }))
        yield JSON.stringify({ ...ledger, envelope: Buffer.from(envelope).toString('base64') });
  }
  for (const { publisher, audience, note } of checkpoints) {
    if (wanted !== undefined && publisher !== wanted && audience !== wanted) continue;
    yield JSON.stringify({ checkpoint: Buffer.from(note).toString('utf8') });
  }
  // Keys that no peer ever held are in no ledger; what is for one peer's auditor holds none of the others' keys.
  if (wanted === undefined) for await (const keyHistory of keys.historyLines()) yield JSON.stringify({ keyHistory });
  yield JSON.stringify({ carnet: 'end-of-export' });
}
