import { type Digest, digest, event, isMigrationEvent, type MigrationEvent } from '@carnet/events';
import { evolve, initialJourney, type Journey, type Placed } from '@carnet/saga';
import { sha256Hex } from '@carnet/trust';
import { VM } from '../../libs/saga/src/testing.ts';

/** A recorded history: events in an order in which causes precede effects, and the hash of what they fold to. */
export type History = {
  readonly state: string;
  /** How it ends, for the reader: each migration's two phases, and what was void. */
  readonly outcome: readonly string[];
  readonly events: readonly Placed[];
};

/** Parses a golden file; its events by the schemas of today. */
export function readHistory(text: string): History {
  const { state, outcome, events }: History = JSON.parse(text);
  return {
    state,
    outcome,
    events: events.map((placed) => ({ digest: digest.parse(placed.digest), event: migrationEvent(placed.event) })),
  };
}

function migrationEvent(value: unknown): MigrationEvent {
  const parsed = event.parse(value);
  if (!isMigrationEvent(parsed)) throw new Error(`expected an event of a migration, got ${parsed.type}`);
  return parsed;
}

export type Folded = { readonly state: Digest; readonly outcome: readonly string[] };

/** Folds a history. The hash is over the whole journey and every void code, in canonical JSON. */
export function fold(events: readonly Placed[]): Folded {
  let journey: Journey = initialJourney(VM);
  const voids: string[] = [];
  for (const next of events) {
    const evolved = evolve(journey, next);
    journey = evolved.journey;
    if (evolved.voidCode) voids.push(`${next.event.type} is void: ${evolved.voidCode}`);
  }
  const phases = journey.migrations.map((m) => `epoch ${m.epoch}: ${m.sourcePhase} × ${m.targetPhase}`);
  const state = sha256Hex(new TextEncoder().encode(JSON.stringify(sorted({ journey, voids }))));
  return { state, outcome: [...phases, ...voids] };
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, part]) => [key, sorted(part)]),
  );
}
