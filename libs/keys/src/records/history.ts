import { type Digest, digest, dsseEnvelope, GENESIS, PAYLOAD_TYPES, type Timestamp, timestamp } from '@carnet/events';
import { type Signer, signEnvelope } from '@carnet/trust';
import { z } from 'zod';
import { refusal } from '../refusal.ts';
import { ok, type Refusal, type Result } from '../result.ts';
import { type ChainedLine, isChained, lineDigest } from './chain.ts';
import { type Held, insertHeld, type KeyRecord, updateHeld } from './holding.ts';
import { isDestroyed, isLegal, type KeyState, keyState } from './states.ts';
import type { KeysDb, KeysTx } from './tables.ts';

/** Who changed a key's state, when, why, and the digest of the signed event it rests on; without one, who signs the line itself. */
export type Mark = {
  readonly at: Timestamp;
  readonly actor: string;
  readonly reason: string;
  readonly cause?: Digest;
  readonly signer?: Signer;
};

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
    /** Of the line and, through its predecessor's, of all before it. */
    digest,
    /** DSSE envelope around this line and `prev`, by the CSP's event key. */
    signature: dsseEnvelope.optional(),
  })
  .readonly();
export type HistoryLine = z.infer<typeof historyLine>;

async function append(tx: KeysTx, record: KeyRecord, from: KeyState | null, to: KeyState, mark: Mark): Promise<Digest> {
  const { key, version, arrival } = record;
  const last = await tx
    .selectFrom('keys_history')
    .select(['arrival', 'position', 'digest'])
    .where('key', '=', key)
    .where('version', '=', version)
    .orderBy('arrival', 'desc')
    .orderBy('position', 'desc')
    .limit(1)
    .executeTakeFirst();
  const line: ChainedLine = {
    key,
    version,
    arrival,
    position: last?.arrival === arrival ? last.position + 1 : 1,
    from_state: from,
    to_state: to,
    at: mark.at,
    actor: mark.actor,
    reason: mark.reason,
    cause: mark.cause ?? null,
    prev: last?.digest ?? GENESIS,
  };
  const signature = mark.signer === undefined ? null : signed(line, mark.signer);
  const digest = lineDigest(line);
  await tx
    .insertInto('keys_history')
    .values({ ...line, digest, signature })
    .execute();
  return digest;
}

const signed = (line: ChainedLine, signer: Signer): string =>
  Buffer.from(signEnvelope(PAYLOAD_TYPES.keyChange, Buffer.from(JSON.stringify(line)), signer)).toString('utf8');

/** A key begins: `pre-activation`, and its first line. */
export async function enter(tx: KeysTx, held: Held, mark: Mark): Promise<void> {
  await insertHeld(tx, held);
  await append(tx, held.record, null, held.record.state, mark);
}

/** One legal step. A destroyed key keeps its record and its history, but no key bytes. `record` must be locked by the caller. */
export async function change(tx: KeysTx, record: KeyRecord, to: KeyState, mark: Mark): Promise<Result<KeyRecord>> {
  const changed = await changeNoting(tx, record, to, mark);
  return changed.ok ? ok(changed.value.record) : changed;
}

/** As {@link change}; `line`: digest of the line that was written. */
export async function changeNoting(
  tx: KeysTx,
  record: KeyRecord,
  to: KeyState,
  mark: Mark,
): Promise<Result<{ readonly record: KeyRecord; readonly line: Digest }>> {
  const refused = illegal(record, to);
  if (refused !== undefined) return refused;
  const line = await append(tx, record, record.state, to, mark);
  const erased = isDestroyed(to) ? { wrapped: null, kek_version: null, secret: null } : {};
  await updateHeld(tx, record, { state: to, changed_at: mark.at, ...erased });
  return ok({ record: { ...record, state: to, changedAt: mark.at }, line });
}

export const illegal = (record: KeyRecord, to: KeyState): Refusal | undefined =>
  isLegal(record.state, to)
    ? undefined
    : refusal('KEY_TRANSITION_ILLEGAL', { about: record.key, expected: `a state before ${to}`, got: record.state });

/** `intact`: every line stands on the one before it, as it was written. */
export type History = { readonly lines: readonly HistoryLine[]; readonly chain: 'intact' | 'broken' };

export async function historyOf(db: KeysDb, key: { readonly key: string; readonly version: number }): Promise<History> {
  const rows = await db
    .selectFrom('keys_history')
    .selectAll()
    .where('key', '=', key.key)
    .where('version', '=', key.version)
    .orderBy('arrival')
    .orderBy('position')
    .execute();
  const lines = rows.map((row) =>
    historyLine.parse({
      arrival: row.arrival,
      position: row.position,
      ...(row.from_state === null ? {} : { from: row.from_state }),
      to: row.to_state,
      at: row.at,
      actor: row.actor,
      reason: row.reason,
      ...(row.cause === null ? {} : { cause: row.cause }),
      digest: row.digest,
      ...(row.signature === null ? {} : { signature: JSON.parse(row.signature) }),
    }),
  );
  return { lines, chain: isChained(rows) ? 'intact' : 'broken' };
}
