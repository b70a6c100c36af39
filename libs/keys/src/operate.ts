import { type EventData, type KeyChangeReason, keyStateChanged, type TrustDomain, trustDomain } from '@carnet/events';
import type { Tx } from '@carnet/store';
import type { Signer } from '@carnet/trust';
import { z } from 'zod';
import type { KeyPorts } from './ports.ts';
import { announcementText } from './records/announcements.ts';
import { inUse } from './records/consumers.ts';
import { handingOver, sharingsOf } from './records/handovers.ts';
import { changeNoting } from './records/history.ts';
import { type KeyRecord, type KeyVersion, lockHeld } from './records/holding.ts';
import { destructionOf, isDestroyed, type KeyState } from './records/states.ts';
import { inTransaction, type KeysTx } from './records/tables.ts';
import { refusal } from './refusal.ts';
import { ok, type Result } from './result.ts';
import { isOf } from './spares/spares.ts';

/** What an operator may do to a key. Activation is not among it: a key is active when it is made or imported, and never before. */
export const keyVerb = z.enum(['suspend', 'resume', 'deactivate', 'compromise', 'destroy']);
export type KeyVerb = z.infer<typeof keyVerb>;

/** `principal`: who asks. `reason`: for this CSP's own records; peers are told `code` only. `signer`: of this CSP's event key. */
export type OperatorChange = KeyVersion & {
  readonly verb: KeyVerb;
  readonly principal: string;
  readonly reason: string;
  readonly code: KeyChangeReason;
  readonly signer: Signer;
};

/** State to which a verb leads; what is illegal from the present state is refused by the table. */
function stateAfter(verb: KeyVerb, state: KeyState): KeyState {
  switch (verb) {
    case 'suspend':
      return 'suspended';
    case 'resume':
      return 'active';
    case 'deactivate':
      return 'deactivated';
    case 'compromise':
      return isDestroyed(state) ? 'destroyed-compromised' : 'compromised';
    case 'destroy':
      return destructionOf(state);
  }
}

/**
 * One signed step of a key's life, and for every peer that ever held it the event that it is owed. Asked again, it is the same step.
 * Refused: nothing was changed.
 */
export async function operate(ports: KeyPorts, tx: Tx, wanted: OperatorChange): Promise<Result<KeyRecord>> {
  const db = inTransaction(tx);
  const held = await lockHeld(db, wanted);
  if (held === undefined) return refusal('KEY_UNKNOWN', { about: wanted.key });
  const { record } = held;
  const to = stateAfter(wanted.verb, record.state);
  if (to === record.state) return ok(record);
  const moving = await handingOver(db, wanted);
  if (moving !== undefined) return refusal('KEY_MOVING', { about: wanted.key, got: moving });
  // The table allows it, but only an import may do it: a deposit must not become usable by an operator's word.
  if (wanted.verb === 'resume' && record.state !== 'suspended')
    return refusal('KEY_TRANSITION_ILLEGAL', { about: wanted.key, expected: 'suspended', got: record.state });
  const used = isDestroyed(to) && !isDestroyed(record.state) ? await inUse(db, wanted.key) : undefined;
  if (used !== undefined) return used;
  const { principal: actor, reason, signer } = wanted;
  const changed = await changeNoting(db, record, to, { at: ports.now(), actor, reason, signer });
  if (!changed.ok) return changed;
  if (isDestroyed(to)) await ports.spares.erase(isOf(record));
  await oweEvents(db, wanted, record.state, changed.value);
  return ok(changed.value.record);
}

async function oweEvents(
  db: KeysTx,
  wanted: OperatorChange,
  from: KeyState,
  { record, line }: { readonly record: KeyRecord; readonly line: string },
): Promise<void> {
  const { key, version, state: to, changedAt: at } = record;
  // The newest hand-over with each peer: by it the peer finds the key in its own records.
  const newest = new Map((await sharingsOf(db, wanted)).map(({ peer, migration }) => [peer, migration]));
  for (const [peer, migration] of newest) {
    const data: EventData<'KeyStateChanged'> = { key, version, migration, from, to, reason: wanted.code, at };
    await db
      .insertInto('keys_announcements')
      .values({ line, peer, data: announcementText(data), told: null })
      .execute();
  }
}

/** An event that a peer is owed. `line`: digest of the history line that it tells of; of a change that came home, of its event. */
export type Announcement = { readonly line: string; readonly peer: TrustDomain; readonly data: EventData<'KeyStateChanged'> };

/** Oldest lines first. */
export async function owedAnnouncements(ports: KeyPorts): Promise<readonly Announcement[]> {
  const rows = await ports.db
    .selectFrom('keys_announcements as a')
    .innerJoin('keys_history as h', 'h.digest', 'a.line')
    .select(['a.line', 'a.peer', 'a.data'])
    .where('a.told', 'is', null)
    .orderBy('h.at')
    .orderBy('h.key')
    .orderBy('h.position')
    .execute();
  return rows.map(({ line, peer, data }) => ({
    line,
    peer: trustDomain.parse(peer),
    data: keyStateChanged.parse(JSON.parse(data)),
  }));
}

/** In the transaction that appends the event: false when it was told before. */
export async function tellOnce(ports: KeyPorts, tx: Tx, { line, peer }: Announcement): Promise<boolean> {
  const told = await inTransaction(tx)
    .updateTable('keys_announcements')
    .set({ told: ports.now() })
    .where('line', '=', line)
    .where('peer', '=', peer)
    .where('told', 'is', null)
    .executeTakeFirst();
  return told.numUpdatedRows > 0n;
}
