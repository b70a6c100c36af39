import { type KeyId, keyId } from '@carnet/events';
import { refusal } from '../refusal.ts';
import type { Refusal } from '../result.ts';
import type { KeysDb } from './tables.ts';

export async function consumersOf(db: KeysDb, key: string): Promise<readonly string[]> {
  const rows = await db.selectFrom('keys_consumers').select('consumer').where('key', '=', key).orderBy('consumer').execute();
  return rows.map((row) => row.consumer);
}

/** Who still needs the key, by name; nobody: undefined. */
export async function inUse(db: KeysDb, key: string): Promise<Refusal | undefined> {
  const consumers = await consumersOf(db, key);
  return consumers.length === 0 ? undefined : refusal('KEY_IN_USE', { about: key, got: consumers.join(' ') });
}

/** Who needs each of these keys, by key; nobody: not in it. */
export async function consumersByKey(db: KeysDb, keys: readonly KeyId[]): Promise<ReadonlyMap<KeyId, readonly string[]>> {
  if (keys.length === 0) return new Map();
  const rows = await db
    .selectFrom('keys_consumers')
    .select(['key', 'consumer'])
    .where('key', 'in', keys)
    .orderBy('consumer')
    .execute();
  const found = Map.groupBy(rows, ({ key }) => keyId.parse(key));
  return new Map([...found].map(([key, some]) => [key, some.map(({ consumer }) => consumer)]));
}
