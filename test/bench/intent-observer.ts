import { Client } from 'pg';

/** The journal's own channel: it speaks after each commit. */
const CHANNEL = 'carnet_journal';

/** Knows when an event of a type is visible in a database: asked after each commit that the journal tells of, never in between. */
export type Observer = {
  /** `performance.now()` of the first look that saw the event; rejects after `msMax`. */
  readonly seen: (migration: string, msMax: number) => Promise<number>;
  readonly close: () => Promise<void>;
};

export async function observe(url: string, type: string): Promise<Observer> {
  const client = new Client({ connectionString: url });
  // A database that a failed run stops under us must not hide why it failed.
  client.on('error', () => undefined);
  await client.connect();
  const seenAtMs = new Map<string, number>();
  const waiting = new Map<string, (ms: number) => void>();
  let looking: 'no' | 'yes' | 'again' = 'no';

  const look = async (): Promise<void> => {
    if (looking !== 'no') {
      looking = 'again';
      return;
    }
    looking = 'yes';
    const { rows } = await client.query<{ readonly migration: string }>('select migration from events where type = $1', [type]);
    const nowMs = performance.now();
    for (const { migration } of rows) {
      if (seenAtMs.has(migration)) continue;
      seenAtMs.set(migration, nowMs);
      waiting.get(migration)?.(nowMs);
    }
    const again = looking !== 'yes';
    looking = 'no';
    if (again) await look();
  };
  client.on('notification', () => void look());
  await client.query(`listen ${CHANNEL}`);

  return {
    seen: (migration, msMax) =>
      new Promise((resolve, reject) => {
        const known = seenAtMs.get(migration);
        if (known !== undefined) return resolve(known);
        const timer = setTimeout(() => reject(new Error(`no ${type} of ${migration} within ${msMax} ms`)), msMax);
        waiting.set(migration, (ms) => {
          clearTimeout(timer);
          resolve(ms);
        });
      }),
    close: () => client.end(),
  };
}
