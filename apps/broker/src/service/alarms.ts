import { type MigrationId, type Timestamp, type TrustDomain, timestamp } from '@carnet/events';
import { type Metrics, scrapedGauge } from '@carnet/runtime';
import { type Journey, type MigrationState, phaseOf } from '@carnet/saga';
import type { MigrationRow, MigrationViews } from '@carnet/views';
import { type Alarming, alarmingIn, OVERDUE_AFTER_MS, secondsBetween } from './diagnosis.ts';

/** An open migration that somebody should look at. */
export interface Alarm extends Alarming {
  readonly migration: MigrationId;
  readonly vm: string;
  readonly phase: string;
  /** Of the state that alarms, seconds. */
  readonly seconds: number;
}

/** Migrations looked at, those with a key in doubt first. */
const ROWS_MAX = 1_000;

/** Which phases expose a VM: the key is out, and nobody has taken it, or perhaps both have. The others alarm when they stand still for too long. */
const EXPOSED: readonly string[] = ['released', 'imported', 'split-suspected'];

export async function alarmsOf(
  views: Pick<MigrationViews, 'suspects'>,
  self: TrustDomain,
  now: Timestamp,
  stateOf: (row: MigrationRow) => Promise<{ readonly journey: Journey; readonly m: MigrationState } | undefined>,
): Promise<readonly Alarm[]> {
  const unchangedSince = timestamp.parse(new Date(Date.parse(now) - OVERDUE_AFTER_MS).toISOString());
  const rows = await views.suspects({ self, phases: EXPOSED, unchangedSince, limit: ROWS_MAX });
  const alarms: Alarm[] = [];
  // One after the other: whoever scrapes may wait, the journeys of others may not.
  for (const row of rows) {
    const { migration, vm } = row;
    const found = await stateOf(row);
    if (found === undefined) continue;
    const phase = phaseOf(found.m);
    for (const one of alarmingIn(found.journey, found.m, now))
      alarms.push({ migration, vm, phase, ...one, seconds: secondsBetween(one.since, now) });
  }
  return alarms;
}

/** How long the worst of each kind has lasted; 0: none. A scrape in which the database fails fails as a whole. */
export const meterAlarms = (metrics: Metrics, alarms: () => Promise<readonly Alarm[]>): void =>
  scrapedGauge(
    metrics,
    {
      name: 'carnet_migration_alarm_seconds',
      help: 'How long the oldest migration has been in doubt (key released, VM not taken), overdue, perhaps at both sides, or at both sides for certain',
      labelNames: ['code'],
    },
    async () => {
      const found = await alarms();
      return (['IN_DOUBT', 'OVERDUE', 'SPLIT_SUSPECTED', 'BOTH_RAN'] as const).map((code) => ({
        labels: { code },
        value: Math.max(0, ...found.filter((alarm) => alarm.code === code).map(({ seconds }) => seconds)),
      }));
    },
  );
