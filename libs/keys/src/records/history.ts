import { type Digest, digest, type Timestamp, timestamp } from '@carnet/events';
import { z } from 'zod';
import { refusal } from '../refusal.ts';
import { ok, type Refusal, type Result } from '../result.ts';
import { type Held, insertHeld, type KeyRecord, updateHeld } from './holding.ts';
import { isDestroyed, isLegal, type KeyState, keyState } from './states.ts';
import type { KeysDb, KeysTx } from './tables.ts';

/** Who changed a key's state, when, why, and the digest of the signed event it rests on, if any. */
export type Mark = { readonly at: Timestamp; readonly actor: string; readonly reason: string; readonly cause?: Digest };

/** One line of a key's life. */
export const historyLine = z
  .strictObject({
    arrival: z.int(),
    position: z.int(),
    from: keyState.optional(),
    to: keyState,
    at: timestamp,
    actor: z.string(),
    reason: z.string(),
    cause: digest.optional(),
  })
  .readonly();
export type HistoryLine = z.infer<typeof historyLine>;

async function append(tx: KeysTx, record: KeyRecord, from: KeyState | null, to: KeyState, mark: Mark): Promise<void> {
  const { key, version, arrival } = record;
  const last = await tx
    .selectFrom('keys_history')
    .select('position')
    .where('key', '=', key)
    .where('version', '=', version)
    .where('arrival', '=', arrival)
    .orderBy('position', 'desc')
    .limit(1)
    .executeTakeFirst();
  await tx
    .insertInto('keys_history')
    .values({
      key,
      version,
      arrival,
      position: (last?.position ?? 0) + 1,
      from_state: from,
      to_state: to,
      at: mark.at,
      actor: mark.actor,
      reason: mark.reason,
      cause: mark.cause ?? null,
    })
    .execute();
}

/** A key begins: `pre-activation`, and its first line. */
export async function enter(tx: KeysTx, held: Held, mark: Mark): Promise<void> {
  await insertHeld(tx, held);
  await append(tx, held.record, null, held.record.state, mark);
}

/** One legal step. A destroyed key keeps its record and its history, but no key bytes. `record` must be locked by the caller. */
export async function change(tx: KeysTx, record: KeyRecord, to: KeyState, mark: Mark): Promise<Result<KeyRecord>> {
  const refused = illegal(record, to);
  if (refused !== undefined) return refused;
  await append(tx, record, record.state, to, mark);
  const erased = isDestroyed(to) ? { wrapped: null, kek_version: null, secret: null } : {};
  await updateHeld(tx, record, { state: to, changed_at: mark.at, ...erased });
  return ok({ ...record, state: to, changedAt: mark.at });
}

export const illegal = (record: KeyRecord, to: KeyState): Refusal | undefined =>
  isLegal(record.state, to)
    ? undefined
    : refusal('KEY_TRANSITION_ILLEGAL', { about: record.key, expected: `a state before ${to}`, got: record.state });

export async function historyOf(
  db: KeysDb,
  key: { readonly key: string; readonly version: number },
): Promise<readonly HistoryLine[]> {
  const rows = await db
    .selectFrom('keys_history')
    .selectAll()
    .where('key', '=', key.key)
    .where('version', '=', key.version)
    .orderBy('arrival')
    .orderBy('position')
    .execute();
  return rows.map((row) =>
    historyLine.parse({
      arrival: row.arrival,
      position: row.position,
      ...(row.from_state === null ? {} : { from: row.from_state }),
      to: row.to_state,
      at: row.at,
      actor: row.actor,
      reason: row.reason,
      ...(row.cause === null ? {} : { cause: row.cause }),
    }),
  );
}
