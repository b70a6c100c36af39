import { Client, type ClientConfig } from 'pg';
import type { Lease } from './store.ts';

type Session = { readonly client: Client; readonly lost: AbortController };

/**
 * Leases are session advisory locks, all on one connection of their own: PostgreSQL gives them up when the process dies, and
 * a thousand leases cost one connection. A lost connection loses them all, and says so through each lease's signal.
 */
export function openLeases(connection: ClientConfig): {
  readonly tryLease: (name: string) => Promise<Lease | undefined>;
  readonly close: () => Promise<void>;
} {
  // A session may take its own advisory lock twice; this set makes that a refusal.
  const held = new Set<string>();
  let session: Promise<Session> | undefined;

  const sessionNow = (): Promise<Session> => {
    session ??= openSession(connection, () => {
      session = undefined;
    });
    return session;
  };

  const tryLease = async (name: string): Promise<Lease | undefined> => {
    if (held.has(name)) return undefined;
    held.add(name);
    try {
      const { client, lost } = await sessionNow();
      const { rows } = await client.query('select pg_try_advisory_lock(hashtextextended($1, 0)) as taken', [name]);
      if (rows[0]?.taken === true && !lost.signal.aborted) return lease(name, client, lost.signal);
    } catch (cause) {
      held.delete(name);
      throw cause;
    }
    held.delete(name);
    return undefined;
  };

  const lease = (name: string, client: Client, signal: AbortSignal): Lease => {
    let released = false;
    const release = async (): Promise<void> => {
      if (released) return;
      released = true;
      try {
        if (!signal.aborted) await client.query('select pg_advisory_unlock(hashtextextended($1, 0))', [name]);
      } catch (cause) {
        // A connection that died has given the lock up already.
        if (!signal.aborted) throw cause;
      } finally {
        held.delete(name);
      }
    };
    return { signal, release };
  };

  return {
    tryLease,
    close: async () => {
      const open = session;
      session = undefined;
      if (open !== undefined) await (await open).client.end();
    },
  };
}

async function openSession(connection: ClientConfig, gone: () => void): Promise<Session> {
  const client = new Client(connection);
  const lost = new AbortController();
  const lose = (): void => {
    if (!lost.signal.aborted) gone();
    lost.abort(new Error('the connection that held the lease was lost'));
  };
  client.on('error', lose);
  client.on('end', lose);
  try {
    await client.connect();
  } catch (cause) {
    gone();
    throw cause;
  }
  return { client, lost };
}
