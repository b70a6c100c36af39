import type { ArtifactId, KeyId, VmId } from '@carnet/events';
import type { KeyManager, Tenant } from '@carnet/keys';
import type { Store, Tx } from '@carnet/store';
import { granted } from './refused.ts';

export type NewDisk = {
  readonly key: KeyId;
  readonly tenant: Tenant;
  readonly artifact: ArtifactId;
  readonly vm?: VmId;
  readonly capacityBytes: number;
  readonly reason: string;
};

export const inTransaction = <T>(store: Store, work: (tx: Tx) => Promise<T>): Promise<T> => store.db.transaction().execute(work);

/** A fresh DEK, recorded before anything is encrypted with it. */
export async function newDek(
  { keys, store }: { readonly keys: Pick<KeyManager, 'createDek'>; readonly store: Store },
  disk: NewDisk,
): Promise<void> {
  const prepared = granted(await keys.createDek({ ...disk, kind: 'disk', derivation: 'luks-passphrase-hex' }));
  granted(await inTransaction(store, (tx) => prepared.record(tx)));
}
