import { isMigrationEvent, MIGRATION_EVENTS_MAX, type MigrationEvent, type MigrationId, type VmId } from '@carnet/events';
import { evolve, initialJourney, type Journey, type MigrationState } from '@carnet/saga';
import type { PlacedEvent } from './replay.ts';

/** What the fold made of an event: the migration as it is now, or why the event is void. */
export type Folded = {
  readonly event: MigrationEvent;
  readonly outcome: { readonly migration: MigrationState } | { readonly voidCode: string };
};

/** Every journey of one pair of CSPs, folded as brokers fold it. */
export type Journeys = {
  /** `undefined`: not an event of a migration, or void by its own schema. */
  readonly fold: (placed: PlacedEvent) => Folded | undefined;
  readonly all: () => readonly Journey[];
};

export function openJourneys(): Journeys {
  const journeys = new Map<VmId, Journey>();
  /** Only a liar opens one migration for two VMs; then each journey gets the event, as in the brokers' journals. */
  const vmsOf = new Map<MigrationId, readonly VmId[]>();

  /** Schema-valid events so far, by publisher, audience and migration. */
  const said = new Map<string, number>();
  const countOf = ({ publisher, audience, migration }: MigrationEvent): number => {
    const name = `${publisher} ${audience} ${migration}`;
    const count = (said.get(name) ?? 0) + 1;
    said.set(name, count);
    return count;
  };

  const foldInto = (vm: VmId, event: MigrationEvent, placed: PlacedEvent): Folded['outcome'] => {
    const before = journeys.get(vm) ?? initialJourney(vm);
    const { journey, voidCode } = evolve(before, { event, digest: placed.digest });
    if (voidCode !== undefined) return { voidCode };
    journeys.set(vm, journey);
    const migration = journey.migrations.find((m) => m.id === event.migration && m.facts[event.type]?.digest === placed.digest);
    return migration === undefined ? { voidCode: 'MIGRATION_UNKNOWN' } : { migration };
  };

  return {
    fold: (placed) => {
      const { event } = placed;
      if (event === undefined || placed.voidCode !== undefined || !isMigrationEvent(event)) return undefined;
      // As the brokers' journals read them.
      if (countOf(event) > MIGRATION_EVENTS_MAX) return { event, outcome: { voidCode: 'MIGRATION_EVENTS_TOO_MANY' } };
      const known = vmsOf.get(event.migration) ?? [];
      const vms = event.type === 'MigrationIntended' ? [event.data.vm] : known;
      const outcomes = vms.map((vm) => foldInto(vm, event, placed));
      const outcome = outcomes.find((one) => 'migration' in one) ?? outcomes[0] ?? { voidCode: 'MIGRATION_UNKNOWN' };
      if ('migration' in outcome && event.type === 'MigrationIntended')
        vmsOf.set(event.migration, [...new Set([...known, event.data.vm])]);
      return { event, outcome };
    },
    all: () => [...journeys.values()],
  };
}
