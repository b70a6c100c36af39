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
