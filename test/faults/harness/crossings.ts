import type { Cloud } from './cloud.ts';
import { rowsOf } from './ledger-db.ts';

type Side = Pick<Cloud, 'database' | 'plan'>;

/** An event that came over the bus: when it was placed (Unix time), and how long after it was said. One machine, one clock. */
export type Crossing = { readonly placedMs: number; readonly delayMs: number };

const MS = (column: string): string => `extract(epoch from ${column}::timestamptz)::float8 * 1000`;

/** Of both ledgers, every event that was placed at its audience since then. */
export async function crossingsSince(sides: readonly Side[], sinceMs: number): Promise<readonly Crossing[]> {
  const text = `select ${MS('placed_at')} as placed, ${MS('time')} as said from events where publisher <> $1 and ${MS('placed_at')} >= $2`;
  const rows = await Promise.all(
    sides.map(({ database, plan }) =>
      rowsOf<{ readonly placed: number; readonly said: number }>(database, text, [plan.domain, sinceMs]),
    ),
  );
  return rows.flat().map(({ placed, said }) => ({ placedMs: placed, delayMs: placed - said }));
}

/** The largest delay, and the longest that nothing at all came across, between two moments. */
export function worst(crossings: readonly Crossing[], fromMs: number, toMs: number) {
  const within = crossings.filter(({ placedMs }) => placedMs >= fromMs && placedMs <= toMs);
  const times = [fromMs, ...within.map(({ placedMs }) => placedMs).toSorted((one, other) => one - other)];
  return {
    events: within.length,
    delayMs: Math.max(0, ...within.map(({ delayMs }) => delayMs)),
    pauseMs: Math.max(0, ...times.map((time, i) => time - (times[i - 1] ?? time))),
  };
}
