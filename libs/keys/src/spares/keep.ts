import type { KeyPorts } from '../ports.ts';
import type { Held } from '../records/holding.ts';
import type { KeysDb } from '../records/tables.ts';
import { refusal } from '../refusal.ts';
import { impossible } from '../result.ts';
import { type WrappedDek, wrappedKek } from '../vault/hierarchy.ts';

/**
 * In the transaction that records a key, before it commits: then no database that holds the key was ever without a spare of it. If the transaction
 * is undone, the spare is of a key that the ledger does not tell of, and nobody asks for it.
 */
export async function keepSpare(
  { spares }: Pick<KeyPorts, 'spares'>,
  db: KeysDb,
  {
    record,
    wrapped: dek,
  }: { readonly record: Pick<Held['record'], 'key' | 'replaces'>; readonly wrapped?: WrappedDek | undefined },
): Promise<void> {
  if (dek === undefined) throw impossible(refusal('KEY_STATE', { about: record.key }));
  const kek = await db
    .selectFrom('keys_keks')
    .select(['tenant', 'version', 'wrapped'])
    .where('tenant', '=', dek.tenant)
    .where('version', '=', dek.kekVersion)
    .executeTakeFirstOrThrow();
  await spares.keep({ dek, kek: wrappedKek.parse(kek), ...(record.replaces === undefined ? {} : { replaces: record.replaces }) });
}
