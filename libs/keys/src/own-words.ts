import { type Digest, keyStateChanged, type TrustDomain } from '@carnet/events';
import type { Tx } from '@carnet/store';
import type { Signer } from '@carnet/trust';
import type { Announcement } from './operate.ts';
import type { KeyPorts } from './ports.ts';
import { announcementText, type KeyChange } from './records/announcements.ts';
import { handingOver } from './records/handovers.ts';
import { change } from './records/history.ts';
import { findHeld, type KeyRecord, lockArrival } from './records/holding.ts';
import { isDestroyed, isLegal, type KeyState } from './records/states.ts';
import { inTransaction, type KeysDb, type KeysTx } from './records/tables.ts';
import { impossible } from './result.ts';
import { isOf } from './spares/spares.ts';

/** A change of a key as this CSP told a peer of it, by its own signed event. `event`: that one's digest. */
export type OwnWord = { readonly event: Digest; readonly peer: TrustDomain; readonly data: KeyChange };

/** `owed`: a row says that they are still to be told. `unkept`: no row tells of the change. Both were lost with a database, and came home. */
export type WordsHome = { readonly owed: readonly Announcement[]; readonly unkept: readonly OwnWord[] };

/** Our words against our rows. In a database that was not restored each has its row, which was told in the transaction of its event. */
export async function wordsHome(db: KeysDb, words: readonly OwnWord[]): Promise<WordsHome> {
  if (words.length === 0) return { owed: [], unkept: [] };
  const rows = await db
    .selectFrom('keys_announcements')
    .select(['line', 'peer', 'data', 'told'])
    .where('data', 'in', [...new Set(words.map(({ data }) => announcementText(data)))])
    .execute();
  const found = new Map(rows.map((row) => [`${row.peer} ${row.data}`, row]));
  const owed: Announcement[] = [];
  const unkept: OwnWord[] = [];
  for (const word of words) {
    const row = found.get(`${word.peer} ${announcementText(word.data)}`);
    if (row === undefined) unkept.push(word);
    else if (row.told === null) owed.push({ line: row.line, peer: word.peer, data: keyStateChanged.parse(JSON.parse(row.data)) });
  }
  return { owed, unkept };
}

/** `arrival`: of the holding that counted when the word was said. `signer`: of this CSP's event key. */
export type KeepingWord = OwnWord & { readonly arrival: number; readonly signer: Signer };

/**
 * Does to a holding what this CSP told a peer that it had done: the row was lost with the database, the event came home. The line of its history is
 * dated as the change was, signed, and names the event. Asked again, or of the same change by the event to another peer, it changes nothing.
 * `waits`: the holding is on its way in or out, as far as the rows say; nothing was written.
 */
export async function keepWord(ports: KeyPorts, tx: Tx, word: KeepingWord): Promise<'changed' | 'kept' | 'waits'> {
  const db = inTransaction(tx);
  const { data, arrival, event, signer } = word;
  const held = await lockArrival(db, data, arrival);
  if (held === undefined) return 'kept';
  if (await isOnItsWay(db, held.record, data)) return 'waits';
  const steps = (await isOverruled(db, held.record, data)) ? [] : stepsTo(held.record.state, data);
  const reason = `told ${word.peer} before this database was restored: ${data.reason}`;
  let record = held.record;
  for (const to of steps) {
    const changed = await change(db, record, to, { at: data.at, actor: ports.actor, reason, cause: event, signer });
    if (!changed.ok) throw impossible(changed);
    record = changed.value;
  }
  if (steps.some(isDestroyed)) await forgetUses(ports, db, record);
  await db
    .insertInto('keys_announcements')
    .values({ line: event, peer: word.peer, data: announcementText(data), told: ports.now() })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  return steps.length > 0 ? 'changed' : 'kept';
}

const isFinal = (state: KeyState): boolean => state === 'compromised' || isDestroyed(state);

/**
 * A deposit opens nothing yet, and what brings its key back does so with our words in mind. What is on its way out by the rows may have come to its
 * end by the ledger: that must be done first, or it would undo a suspension. What is over for good waits for nothing.
 */
const isOnItsWay = async (db: KeysTx, { state }: KeyRecord, data: KeyChange): Promise<boolean> =>
  state === 'pre-activation' || (!isFinal(data.to) && (await handingOver(db, data)) !== undefined);

/** An operator has said otherwise since: to another peer, whose ledger came home first, or after the restore. What is over for good stays so. */
async function isOverruled(db: KeysTx, { key, version, arrival }: KeyRecord, { to, at }: KeyChange): Promise<boolean> {
  if (isFinal(to)) return false;
  const later = await db
    .selectFrom('keys_history')
    .select('digest')
    .where('key', '=', key)
    .where('version', '=', version)
    .where('arrival', '=', arrival)
    .where('signature', 'is not', null)
    .where('at', '>', at)
    .limit(1)
    .executeTakeFirst();
  return later !== undefined;
}

/**
 * From the state in the database to what was told, or to what is stricter still: steps in between may be lost. By `from`, where that leads there: then the
 * history holds the very change that the peer was told.
 */
export function stepsTo(state: KeyState, { from, to }: Pick<KeyChange, 'from' | 'to'>): readonly KeyState[] {
  if (state === to) return [];
  // A deposit must not become usable by an operator's word.
  if (to === 'active') return state === 'suspended' ? [to] : [];
  if (isLegal(state, to)) return [to];
  if (!isFinal(to)) return [];
  if (isLegal(state, from) && isLegal(from, to)) return [from, to];
  return isLegal(state, 'destroyed-compromised') ? ['destroyed-compromised'] : [];
}

/** Nothing used it when it was destroyed: whoever is noted as using it was so before. Of a later holding of the key others are noted. */
async function forgetUses(ports: KeyPorts, db: KeysTx, record: KeyRecord): Promise<void> {
  const newest = await findHeld(db, record);
  if (newest?.record.arrival === record.arrival) await db.deleteFrom('keys_consumers').where('key', '=', record.key).execute();
  await ports.spares.erase(isOf(record));
}
