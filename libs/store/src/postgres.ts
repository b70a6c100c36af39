import { Kysely, PostgresDialect } from 'kysely';
import { Client, type ClientConfig, Pool, type PoolConfig, types } from 'pg';
import { isRefusal, isUnanswered, StoreError } from './error.ts';
import { openLeases } from './leases.ts';
import {
  ANSWER_MS_MAX,
  CONNECT_MS_MAX,
  IDLE_IN_TRANSACTION_MS_MAX,
  KEEPALIVE_MS,
  POOL_CONNECTIONS_MAX,
  SERVER_PATIENCE,
  STATEMENT_MS_MAX,
} from './limits.ts';
import { listenOn } from './listening.ts';
import type { NoTables, Store, StoreLog } from './store.ts';

/** pg_type.oid of int8. Ours are sequences and byte counts, safe integers by their schemas; `pg` would give text, PGlite gives numbers. */
const INT8_OID = 20;

/** Of the session, for the server's end of the connection; over a Unix socket PostgreSQL ignores it. `options` in the URL take its place. */
const SESSION_OPTIONS = Object.entries(SERVER_PATIENCE)
  .map(([name, value]) => `-c tcp_${name}=${value}`)
  .join(' ');

/**
 * Ends itself with a statement that was not answered in time. `pg` leaves that statement on its connection, and the pool gives the connection to the
 * next: what it says then would be done, if ever, in whatever transaction the first had begun, and undone with it.
 */
class ImpatientClient extends Client {
  constructor(config?: ClientConfig) {
    super(config);
    const query = this.query.bind(this) as (...asked: unknown[]) => unknown;
    // In the place of all of its overloads.
    Reflect.set(this, 'query', (...asked: unknown[]) => {
      const answer = query(...asked);
      // First of those who wait for it, so before the pool has it back. With a callback the pool itself throws it away.
      if (answer instanceof Promise)
        answer.catch((cause: unknown) => {
          if (isUnanswered(cause)) void this.end().catch(() => undefined);
        });
      return answer;
    });
  }
}

export async function openPostgres(url: string, applicationName: string, log: StoreLog): Promise<Store> {
  const connection: ClientConfig = {
    connectionString: url,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_MS_MAX,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_MS,
    options: SESSION_OPTIONS,
  };
  const pool = openPool(connection, log);
  const db = new Kysely<NoTables>({ dialect: new PostgresDialect({ pool }) });
  try {
    await pool.query('select 1');
  } catch (cause) {
    await db.destroy();
    const code = isRefusal(cause) ? 'STORE_REFUSED' : 'STORE_UNREACHABLE';
    throw new StoreError(code, cause instanceof Error ? cause.message : String(cause), { cause });
  }
  const leases = openLeases(connection);
  return {
    kind: 'postgres',
    db,
    tryLease: leases.tryLease,
    listen: (channel, heard) => listenOn(connection, log, channel, heard),
    notify: async (channel, payload) => {
      await pool.query('select pg_notify($1, $2)', [channel, payload]);
    },
    close: async () => {
      await leases.close();
      await db.destroy();
    },
  };
}

function openPool(connection: ClientConfig, log: StoreLog): Pool {
  const config: PoolConfig = {
    ...connection,
    Client: ImpatientClient,
    max: POOL_CONNECTIONS_MAX,
    statement_timeout: STATEMENT_MS_MAX,
    query_timeout: ANSWER_MS_MAX,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS_MAX,
    types: {
      getTypeParser: (oid, format) => (oid === INT8_OID && format !== 'binary' ? Number : types.getTypeParser(oid, format)),
    },
  };
  const pool = new Pool(config);
  // Without a listener an idle connection's death would end the process.
  pool.on('error', (cause) =>
    log.warn({ code: 'STORE_UNREACHABLE', cause: cause.message }, 'an idle database connection was lost'),
  );
  // The same for one in use: its query fails by itself, but the client also emits what nobody would hear.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}
