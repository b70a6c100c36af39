import type { ArtifactId, KeyId, VmId } from '@carnet/events';
import { DERIVATIONS, type KeyManager, type Tenant } from '@carnet/keys';
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

/** A fresh DEK, recorded before anything is encrypted with it. */
export async function newDek(
  { keys, store }: { readonly keys: Pick<KeyManager, 'createDek'>; readonly store: Store },
  wanted: NewKey,
): Promise<void> {
  const prepared = granted(await keys.createDek({ ...wanted, derivation: DERIVATIONS[wanted.kind] }));
  granted(await inTransaction(store, (tx) => prepared.record(tx)));
}
