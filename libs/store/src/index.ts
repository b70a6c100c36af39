export { type Change, runChanges } from './changes.ts';
export { isRetryable, STORE_ERRORS, StoreError, type StoreErrorCode } from './error.ts';
export {
  type Db,
  type Lease,
  type NoTables,
  openStore,
  type Store,
  type StoreLog,
  type StoreOptions,
  type StoreTarget,
  type Tx,
  withLease,
} from './store.ts';
