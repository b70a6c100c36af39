import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { Kysely, PGliteDialect } from 'kysely';
import { lockDirectory } from './lock-file.ts';
import type { Lease, NoTables, Store, StoreLog } from './store.ts';

/** PostgreSQL compiled to WebAssembly, in this process: no server, one process, and no fsync. For trying out, and for tests. */
export async function openEmbedded(dir: string, log: StoreLog): Promise<Store> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const unlock = lockDirectory(dir);
  log.warn(
    { dir },
    'embedded database: it does not fsync, so a power loss can lose decided events. Set CARNET_DATABASE_URL in production',
  );
  try {
    const pglite = await PGlite.create({ dataDir: join(dir, 'data') });
    const db = new Kysely<NoTables>({ dialect: new PGliteDialect({ pglite }) });
    return {
      kind: 'embedded',
      db,
      tryLease: processLeases(),
      listen: (channel, heard) => pglite.listen(channel, heard),
      notify: async (channel, payload) => {
        await pglite.query('select pg_notify($1, $2)', [channel, payload]);
      },
      close: async () => {
        await db.destroy();
        unlock();
      },
    };
  } catch (cause) {
    unlock();
    throw cause;
  }
}

/** One process, so a set is the whole truth; such a lease is never lost. */
function processLeases(): Store['tryLease'] {
  const held = new Set<string>();
  return async (name): Promise<Lease | undefined> => {
    if (held.has(name)) return undefined;
    held.add(name);
    let released = false;
    const release = async (): Promise<void> => {
      if (!released) held.delete(name);
      released = true;
    };
    return { signal: new AbortController().signal, release };
  };
}
