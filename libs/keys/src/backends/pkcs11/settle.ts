import { digest, timestamp } from '@carnet/events';
import { DESTROY_MIGRATION_KEYS } from '../../child/operations.ts';
import { ORPHAN_MS } from '../../limits.ts';
import type { KeyPorts } from '../../ports.ts';
import { ok, type Result } from '../../result.ts';

/**
 * Destroys migration keys in the token whose import has ended: the row forgot its key in the event's own transaction, the token follows. With
 * them go keys that no row ever named, when they are old enough to have been given up. Without an end there is nothing to ask the token.
 */
export async function settleMigrationKeys({
  db,
  call,
  now,
  durable,
}: Pick<KeyPorts, 'db' | 'call' | 'now' | 'durable'>): Promise<Result<number>> {
  const rows = await db
    .selectFrom('keys_imports')
    .select(['token_key', 'private_key'])
    .where('token_key', 'is not', null)
    .execute();
  const named = (all: typeof rows) => all.map(({ token_key }) => digest.parse(token_key));
  const ended = named(rows.filter(({ private_key }) => private_key === null));
  if (ended.length === 0) return ok(0);
  const needed = named(rows.filter(({ private_key }) => private_key !== null));
  const madeBefore = timestamp.parse(new Date(Date.parse(now()) - ORPHAN_MS).toISOString());
  await durable();
  const destroyed = await call(DESTROY_MIGRATION_KEYS, { needed, ended, madeBefore });
  if (destroyed.ok) await db.updateTable('keys_imports').set({ token_key: null }).where('token_key', 'in', ended).execute();
  return destroyed;
}
