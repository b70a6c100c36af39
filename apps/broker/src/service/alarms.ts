import type { MigrationId, Timestamp } from '@carnet/events';
import { type Metrics, scrapedGauge } from '@carnet/runtime';
import type { MigrationRow, MigrationViews } from '@carnet/views';
import { type DiagnosisRow, OVERDUE_AFTER_MS } from './diagnosis.ts';

/** An open migration that somebody should look at. */
export interface Alarm {
  readonly migration: MigrationId;
  readonly vm: string;
  readonly phase: string;
  readonly code: 'IN_DOUBT' | 'OVERDUE';
  readonly text: string;
  readonly since: Timestamp;
  /** Of the state that alarms, seconds. */
  readonly seconds: number;
}

/** Rows looked at: policies bound how many migrations are open at once. */
const ROWS_MAX = 1_000;

/** Which phases expose a VM: the key is out, and nobody has taken it. The others alarm when they stand still for too long. */
const EXPOSED: ReadonlySet<string> = new Set(['released', 'imported']);

export async function alarmsOf(
  views: MigrationViews,
  nowMs: number,
  diagnosisOf: (row: MigrationRow) => Promise<DiagnosisRow | undefined>,
): Promise<readonly Alarm[]> {
  const rows = await views.list({ open: true, limit: ROWS_MAX });
  const suspects = rows.filter(({ phase, updatedAt }) => EXPOSED.has(phase) || nowMs - Date.parse(updatedAt) > OVERDUE_AFTER_MS);
  const alarms: Alarm[] = [];
  // One after the other: whoever scrapes may wait, the journeys of others may not.
  for (const row of suspects) alarms.push(...alarmsIn(await diagnosisOf(row), nowMs));
  return alarms;
}

function alarmsIn(found: DiagnosisRow | undefined, nowMs: number): readonly Alarm[] {
  if (found === undefined) return [];
  const { migration, vm, phase, exposedSince, turns, findings } = found;
  return findings.flatMap(({ code, text }): readonly Alarm[] => {
    if (code !== 'IN_DOUBT' && code !== 'OVERDUE') return [];
    const since = code === 'IN_DOUBT' ? exposedSince : turns.flatMap(({ givesUpAt }) => givesUpAt ?? []).toSorted()[0];
    if (since === undefined) return [];
    return [{ migration, vm, phase, code, text, since, seconds: Math.max(0, Math.round((nowMs - Date.parse(since)) / 1_000)) }];
  });
}

/** How long the worst of each kind has lasted; 0: none. A scrape in which the database fails fails as a whole. */
export const meterAlarms = (metrics: Metrics, alarms: () => Promise<readonly Alarm[]>): void =>
  scrapedGauge(
    metrics,
    {
      name: 'carnet_migration_alarm_seconds',
      help: 'How long the oldest migration has been in doubt (key released, VM not taken), or overdue',
      labelNames: ['code'],
    },
    async () => {
      const found = await alarms();
      return (['IN_DOUBT', 'OVERDUE'] as const).map((code) => ({
        labels: { code },
        value: Math.max(0, ...found.filter((alarm) => alarm.code === code).map(({ seconds }) => seconds)),
      }));
    },
  );
