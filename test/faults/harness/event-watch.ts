import type { Postgres } from '@carnet/dev';
import { rowsOf } from './ledger-db.ts';

type Waiter = { readonly migration: string; readonly type: string; readonly resolve: () => void };

export type EventWatch = {
  /** Resolves within a look after the event stands in the database; rejects after `msMax`. */
  readonly appears: (migration: string, type: string, msMax: number) => Promise<void>;
  readonly close: () => Promise<void>;
};

const LOOK_MS = 30;
const clock = (): string => new Date().toISOString().slice(11, 23);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Looks into one side's ledgers, also between kills of its database. */
export function watchEvents(database: Postgres): EventWatch {
  const waiters = new Set<Waiter>();
  let open = true;
  const look = async (): Promise<void> => {
    if (waiters.size === 0) return;
    try {
      const rows = await rowsOf<{ readonly migration: string; readonly type: string }>(
        database,
        'select migration, type from events where migration = any($1)',
        [[...waiters].map(({ migration }) => migration)],
      );
      for (const waiter of waiters)
        if (rows.some(({ migration, type }) => migration === waiter.migration && type === waiter.type)) waiter.resolve();
    } catch {
      // The server is being killed: that is what this test is about.
    }
  };
  /** Where it stands instead, for whoever reads the failure on another machine. */
  const standing = async (migration: string): Promise<string> => {
    try {
      const rows = await rowsOf<{ readonly said: string }>(
        database,
        "select substr(placed_at, 12, 12) || ' ' || publisher || ' ' || type as said from events where migration = $1 order by placed_at",
        [migration],
      );
      return rows.length === 0 ? 'nothing was said of it' : `this was said: ${rows.map(({ said }) => said).join(', ')}`;
    } catch (cause) {
      return `and its database does not answer: ${cause instanceof Error ? cause.message : String(cause)}`;
    }
  };
  const run = (async () => {
    while (open) {
      await look();
      await pause(LOOK_MS);
    }
  })();
  return {
    appears: (migration, type, msMax) =>
      new Promise((resolve, reject) => {
        const done = (then: () => void) => (): void => {
          waiters.delete(waiter);
          clearTimeout(timer);
          then();
        };
        const waiter: Waiter = { migration, type, resolve: done(resolve) };
        const late = async (): Promise<void> =>
          reject(
            new Error(`${type} of ${migration} did not appear within ${msMax} ms (${clock()}); ${await standing(migration)}`),
          );
        const timer = setTimeout(
          done(() => void late()),
          msMax,
        );
        waiters.add(waiter);
      }),
    close: async () => {
      open = false;
      await run;
    },
  };
}
