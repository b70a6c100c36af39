import type { Digest, MigrationEvent } from '@carnet/events';
import type { VoidCode } from './codes.ts';
import { judge } from './guard.ts';
import type { Journey, MigrationState } from './journey.ts';

/** An event that admission has placed, with the digest of its envelope. */
export type Placed = { readonly event: MigrationEvent; readonly digest: Digest };

/** `voidCode`: the event stays in its ledger and means nothing, for everyone equally; the journey is unchanged. */
export type Evolved = { readonly journey: Journey; readonly voidCode?: VoidCode };

/** The fold. Total: no schema-valid event throws. Events come in any order in which causes precede effects. */
export function evolve(journey: Journey, { event, digest }: Placed): Evolved {
  const judgement = judge(journey, event, digest);
  if (!judgement.ok) return { journey, voidCode: judgement.code };
  const { migration } = judgement;
  const others = journey.migrations.filter((m) => m.id !== migration.id || m.source !== migration.source);
  return { journey: { ...journey, migrations: [...others, migration].sort(byEpoch) } };
}

const byEpoch = (a: MigrationState, b: MigrationState): number => a.epoch - b.epoch || (a.source < b.source ? -1 : 1);
