import { Client, type ClientConfig, DatabaseError, type QueryResult } from 'pg';
import { LEASE_ANSWER_MS_MAX } from './limits.ts';
import type { Lease } from './store.ts';

type Session = { readonly client: Client; readonly lost: AbortController; readonly lose: () => void };

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
    if (session !== undefined) return session;
    const opening = openSession(connection, () => {
      // After a close there may be another one already.
      if (session === opening) session = undefined;
    });
    session = opening;
    return opening;
  };

  const tryLease = async (name: string): Promise<Lease | undefined> => {
    if (held.has(name)) return undefined;
    held.add(name);
    try {
      const open = await sessionNow();
      const { rows } = await asked(open, 'select pg_try_advisory_lock(hashtextextended($1, 0)) as taken', name);
      if (rows[0]?.taken === true && !open.lost.signal.aborted) return lease(name, open);
    } catch (cause) {
      held.delete(name);
      throw cause;
    }
    held.delete(name);
    return undefined;
  };

  const lease = (name: string, of: Session): Lease => {
    const { signal } = of.lost;
    let released = false;
    const release = async (): Promise<void> => {
      if (released) return;
      released = true;
      try {
        if (!signal.aborted) await asked(of, 'select pg_advisory_unlock(hashtextextended($1, 0))', name);
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

/** A session that does not answer is given up: nobody knows what it holds. One that refuses goes on. */
async function asked({ client, lose }: Session, text: string, name: string): Promise<QueryResult> {
  try {
    return await client.query(text, [name]);
  } catch (cause) {
    if (!(cause instanceof DatabaseError)) lose();
    throw cause;
  }
}

async function openSession(connection: ClientConfig, gone: () => void): Promise<Session> {
  const client = new Client({ ...connection, query_timeout: LEASE_ANSWER_MS_MAX });
  const lost = new AbortController();
  const lose = (): void => {
    if (lost.signal.aborted) return;
    gone();
    lost.abort(new Error('the connection that held the lease was lost'));
    // With a question open it is cut, not ended politely.
    void client.end().catch(() => undefined);
  };
  client.on('error', lose);
  client.on('end', lose);
  try {
    await client.connect();
  } catch (cause) {
    lose();
    throw cause;
  }
  return { client, lost, lose };
}
