import type { Kysely, Transaction } from 'kysely';
import { openPostgres } from './postgres.ts';

/** No tables: each lib adds its own with `$extendTables<ItsTables>()`, so that no lib can read another's by accident. */
export type NoTables = Record<never, never>;
export type Db = Kysely<NoTables>;
export type Tx = Transaction<NoTables>;

export type StoreLog = {
  readonly info: (fields: object, text: string) => void;
  readonly warn: (fields: object, text: string) => void;
};

/** `url`: PostgreSQL, e.g. `postgresql://carnet@/journal?host=/run/postgresql`. `dir`: a database embedded in this process. */
export type StoreTarget = { readonly url: string } | { readonly dir: string };

export type StoreOptions = StoreTarget & {
  readonly log: StoreLog;
  /** Shown in `pg_stat_activity`. */
  readonly applicationName: string;
};

/** A name held by one process at a time. */
export type Lease = {
  /** Fires when the lease is lost with its connection: whoever works under it must stop before acting again. */
  readonly signal: AbortSignal;
  readonly release: () => Promise<void>;
};

export type Store = {
  readonly kind: 'postgres' | 'embedded';
  readonly db: Db;
  /** `undefined`: somebody else holds it. Not reentrant: a second try in the same process is refused as well. */
  readonly tryLease: (name: string) => Promise<Lease | undefined>;
  /**
   * Calls back for each `notify(channel, …)` of any process, and with `''` whenever notices may have been missed (after
   * a reconnect). Resolves once it listens; the answer stops it.
   */
  readonly listen: (channel: string, heard: (payload: string) => void) => Promise<() => Promise<void>>;
  /** Payload at most 7,999 bytes (PostgreSQL, NOTIFY). Not transactional: call it after the commit. */
  readonly notify: (channel: string, payload: string) => Promise<void>;
  readonly close: () => Promise<void>;
};

/** Opens the database; throws {@link StoreError} `STORE_LOCKED` or `STORE_UNREACHABLE`. Changes are run by their owners with `runChanges`. */
export async function openStore(options: StoreOptions): Promise<Store> {
  if ('url' in options) return openPostgres(options.url, options.applicationName, options.log);
  // A broker on PostgreSQL reads no WebAssembly at its start.
  const { openEmbedded } = await import('./embedded.ts');
  return openEmbedded(options.dir, options.log);
}

/** Runs `work` while this process alone holds `name`; `held: false` when another does. */
export async function withLease<T>(
  store: Pick<Store, 'tryLease'>,
  name: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<{ readonly held: false } | { readonly held: true; readonly value: T }> {
  const lease = await store.tryLease(name);
  if (lease === undefined) return { held: false };
  try {
    return { held: true, value: await work(lease.signal) };
  } finally {
    await lease.release();
  }
}
