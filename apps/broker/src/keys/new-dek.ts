import type { ArtifactId, KeyId, VmId } from '@carnet/events';
import { DERIVATIONS, type KeyManager, type KeyRecord, type Prepared, type Tenant } from '@carnet/keys';
import type { Store, Tx } from '@carnet/store';
import { granted } from './refused.ts';

/** A key of a disk or of a vTPM (whose state has no capacity). */
export type NewKey = {
  readonly key: KeyId;
  readonly tenant: Tenant;
  readonly artifact: ArtifactId;
  readonly vm?: VmId;
  readonly capacityBytes: number;
  readonly kind: 'disk' | 'vtpm';
  readonly reason: string;
};

export const inTransaction = <T>(store: Store, work: (tx: Tx) => Promise<T>): Promise<T> => store.db.transaction().execute(work);

/** Fresh DEKs, recorded before anything is encrypted with them, and in one transaction with what is noted `beside` them. */
export async function newDeks(
  { keys, store }: { readonly keys: Pick<KeyManager, 'createDek'>; readonly store: Store },
  wanted: readonly NewKey[],
  beside: (tx: Tx) => Promise<void> = async () => undefined,
): Promise<void> {
  const prepared: Prepared<KeyRecord>[] = [];
  for (const one of wanted) prepared.push(granted(await keys.createDek({ ...one, derivation: DERIVATIONS[one.kind] })));
  await inTransaction(store, async (tx) => {
    for (const one of prepared) granted(await one.record(tx));
    await beside(tx);
  });
}
