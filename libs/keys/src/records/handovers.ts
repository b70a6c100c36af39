import { type MigrationId, migrationId, type TrustDomain, trustDomain } from '@carnet/events';
import type { Handover } from '../context.ts';
import type { KeyVersion } from './holding.ts';
import type { KeysDb, KeysTx } from './tables.ts';

/** A peer that holds or held a key by the migration that handed it over. `out`: it went there from here. */
export type Sharing = { readonly peer: TrustDomain; readonly migration: MigrationId; readonly direction: 'out' | 'in' };

/** Between whom a key went, by the signed events of one migration. */
export type HandedOver = Pick<Handover, 'migration' | 'epoch' | 'source' | 'target'>;

export async function enterHandover(
  tx: KeysTx,
  { key, version }: KeyVersion,
  { migration, epoch, source, target }: HandedOver,
  direction: Sharing['direction'],
): Promise<void> {
  const peer = direction === 'out' ? target : source;
  await tx
    .insertInto('keys_handovers')
    .values({ key, version, migration, peer, direction, epoch })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Every hand-over of a key, oldest first. */
export async function sharingsOf(db: KeysDb, { key, version }: KeyVersion): Promise<readonly Sharing[]> {
  const rows = await db
    .selectFrom('keys_handovers')
    .select(['peer', 'migration', 'direction'])
    .where('key', '=', key)
    .where('version', '=', version)
    .orderBy('epoch')
    .orderBy('migration')
    .execute();
  return rows.map((row) => ({
    peer: trustDomain.parse(row.peer),
    migration: migrationId.parse(row.migration),
    direction: row.direction === 'out' ? 'out' : 'in',
  }));
}

const OPEN_OUT = ['deposited', 'acknowledged', 'released'];
const OPEN_IN = ['offered', 'acknowledged', 'opened'];

/** The migration that is handing this key over now, from the deposit to its end. */
export async function handingOver(db: KeysDb, { key, version }: KeyVersion): Promise<MigrationId | undefined> {
  const row = await db
    .selectFrom('keys_handovers as h')
    .leftJoin('keys_deposits as d', 'd.migration', 'h.migration')
    .leftJoin('keys_imports as i', 'i.migration', 'h.migration')
    .select('h.migration')
    .where('h.key', '=', key)
    .where('h.version', '=', version)
    .where((e) =>
      e.or([
        e.and([e('h.direction', '=', 'out'), e('d.state', 'in', OPEN_OUT)]),
        e.and([e('h.direction', '=', 'in'), e('i.state', 'in', OPEN_IN)]),
      ]),
    )
    .limit(1)
    .executeTakeFirst();
  return row === undefined ? undefined : migrationId.parse(row.migration);
}
