import {
  type Digest,
  digest,
  type EventData,
  keyChangeReason,
  keyState,
  migrationId,
  type TrustDomain,
  timestamp,
  trustDomain,
} from '@carnet/events';
import { z } from 'zod';
import { REPORTS_OF_KEY_MAX, REPORTS_OF_PEER_MAX } from '../limits.ts';
import { refusal } from '../refusal.ts';
import { ok, type Result } from '../result.ts';
import { enterHandover, type HandedOver } from './handovers.ts';
import type { KeyVersion } from './holding.ts';
import { isLegal } from './states.ts';
import type { KeysDb, KeysTx } from './tables.ts';

/** What a peer said of a key that it shared with us: its own state, by its own operators. `event`: digest of its signed event. */
export const keyReport = z
  .strictObject({
    event: digest,
    peer: trustDomain,
    migration: migrationId,
    from: keyState,
    to: keyState,
    reason: keyChangeReason,
    at: timestamp,
    receivedAt: timestamp,
  })
  .readonly();
export type KeyReport = z.infer<typeof keyReport>;

export type Report = { readonly peer: TrustDomain; readonly data: EventData<'KeyStateChanged'> };
/** `byLedger`: the hand-over as the signed events have it, where the row that says so was lost. */
export type ReportReceived = Report & { readonly event: Digest; readonly byLedger?: HandedOver };

/** Whether the migration that a peer names handed this very key over between us, by our rows. */
export async function isShared(db: KeysDb, { peer, data }: Report): Promise<boolean> {
  const shared = await db
    .selectFrom('keys_handovers')
    .select('migration')
    .where('key', '=', data.key)
    .where('version', '=', data.version)
    .where('migration', '=', data.migration)
    .where('peer', '=', peer)
    .executeTakeFirst();
  return shared !== undefined;
}

/**
 * Notes what a peer says, if it may say so: it was source or target of the migration that it names, and that migration handed over this
 * very key. Threat: a peer that knows an id raises the alarm about a key that it never held. No state is changed here.
 *
 * Threat: a peer that says much fills the database, or drowns the one report that matters. So an alarm is noted once for each key and
 * always; of the rest the newest of each key, and so many of a peer. What gives way stands signed in the peer's ledger.
 */
export async function noteReport(
  tx: KeysTx,
  { event, peer, data, byLedger }: ReportReceived,
  receivedAt: string,
): Promise<Result<'noted' | 'known'>> {
  if (!(await isShared(tx, { peer, data }))) {
    if (byLedger === undefined) return refusal('KEY_NOT_SHARED', { about: data.key, got: peer });
    await enterHandover(tx, data, byLedger, byLedger.source === peer ? 'in' : 'out');
  }
  if (!isLegal(data.from, data.to))
    return refusal('KEY_TRANSITION_ILLEGAL', { about: data.key, got: `${data.from} to ${data.to}` });
  const said = await reportedBefore(tx, peer, data);
  if (said.some((one) => one.event === event || (isAlarm(one.to_state) && one.to_state === data.to))) return ok('known');
  if (!isAlarm(data.to) && (await countOf(tx, peer)) >= REPORTS_OF_PEER_MAX)
    return refusal('KEY_REPORTS_FULL', { about: data.key, expected: `at most ${REPORTS_OF_PEER_MAX}`, got: peer });
  const surplus = said.filter(({ to_state }) => !isAlarm(to_state)).slice(REPORTS_OF_KEY_MAX - 1);
  if (surplus.length > 0)
    await tx
      .deleteFrom('keys_reports')
      .where(
        'event',
        'in',
        surplus.map((one) => one.event),
      )
      .execute();
  const inserted = await tx
    .insertInto('keys_reports')
    .values({
      event,
      key: data.key,
      version: data.version,
      peer,
      migration: data.migration,
      from_state: data.from,
      to_state: data.to,
      reason: data.reason,
      at: data.at,
      received_at: receivedAt,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return ok((inserted.numInsertedOrUpdatedRows ?? 0n) > 0n ? 'noted' : 'known');
}

const isAlarm = (state: string): boolean => state === 'compromised' || state === 'destroyed-compromised';

/** Newest first. */
const reportedBefore = (tx: KeysTx, peer: TrustDomain, { key, version }: KeyVersion) =>
  tx
    .selectFrom('keys_reports')
    .select(['event', 'to_state'])
    .where('key', '=', key)
    .where('version', '=', version)
    .where('peer', '=', peer)
    .orderBy('received_at', 'desc')
    .orderBy('at', 'desc')
    .orderBy('event', 'desc')
    .execute();

async function countOf(tx: KeysTx, peer: TrustDomain): Promise<number> {
  const { n } = await tx
    .selectFrom('keys_reports')
    .select((of) => of.fn.countAll().as('n'))
    .where('peer', '=', peer)
    .executeTakeFirstOrThrow();
  return Number(n);
}

/** Oldest first. */
export async function reportsOf(db: KeysDb, { key, version }: KeyVersion): Promise<readonly KeyReport[]> {
  const rows = await db
    .selectFrom('keys_reports')
    .selectAll()
    .where('key', '=', key)
    .where('version', '=', version)
    .orderBy('received_at')
    .orderBy('event')
    .execute();
  return rows.map((row) =>
    keyReport.parse({
      event: row.event,
      peer: row.peer,
      migration: row.migration,
      from: row.from_state,
      to: row.to_state,
      reason: row.reason,
      at: row.at,
      receivedAt: row.received_at,
    }),
  );
}

/** Position up to which a peer's ledger was read for reports; 0 at the beginning. */
export async function reportsRead(db: KeysDb, peer: TrustDomain): Promise<number> {
  const row = await db.selectFrom('keys_reports_read').select('seq').where('peer', '=', peer).executeTakeFirst();
  return row?.seq ?? 0;
}

export async function markReportsRead(tx: KeysTx, peer: TrustDomain, seq: number): Promise<void> {
  await tx
    .insertInto('keys_reports_read')
    .values({ peer, seq })
    .onConflict((conflict) => conflict.column('peer').doUpdateSet({ seq }))
    .execute();
}

const COMPROMISED = ['compromised', 'destroyed-compromised'] as const;

/** The peers that have reported a key as compromised, each once. */
export const compromisedBy = (reports: readonly KeyReport[]): readonly TrustDomain[] =>
  [...new Set(reports.filter(({ to }) => COMPROMISED.some((state) => state === to)).map(({ peer }) => peer))].toSorted();

/** Keys that peers reported as compromised, and which peers. */
export async function reportedCompromised(db: KeysDb): Promise<ReadonlyMap<string, readonly string[]>> {
  const rows = await db
    .selectFrom('keys_reports')
    .select(['key', 'peer'])
    .distinct()
    .where('to_state', 'in', [...COMPROMISED])
    .orderBy('peer')
    .execute();
  const peers = new Map<string, readonly string[]>();
  for (const { key, peer } of rows) peers.set(key, [...(peers.get(key) ?? []), peer]);
  return peers;
}
