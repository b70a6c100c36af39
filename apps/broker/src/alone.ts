import type { VmId } from '@carnet/events';
import { type Store, withLease } from '@carnet/store';

/** Runs `work` while no other request, journey or replica of this CSP decides about this VM; `held: false` when one does. */
export type AloneWith = <T>(
  vm: VmId,
  work: (signal: AbortSignal) => Promise<T>,
) => Promise<{ readonly held: false } | { readonly held: true; readonly value: T }>;

/**
 * A ledger's head lock orders what one peer is told. A VM may be spoken of with several peers: this orders whether it may be
 * offered to, or taken from, any of them at all. A lease can be lost unnoticed for a moment; should two decide then, a key is released
 * once (its row is locked), a VM is taken in once (so is its), and the host knows one epoch.
 */
export const aloneWith =
  (store: Pick<Store, 'tryLease'>): AloneWith =>
  (vm, work) =>
    withLease(store, `carnet vm ${vm}`, work);
