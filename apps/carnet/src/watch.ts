import { setTimeout as sleep } from 'node:timers/promises';
import { createDrawing } from './drawing.ts';
import { EXIT, VerbError } from './exit.ts';
import type { Entry, MigrationDetail } from './rows.ts';
import { answered, type World } from './world.ts';

export type WatchEnd =
  | { readonly kind: 'ended'; readonly migration: MigrationDetail }
  | { readonly kind: 'timed-out'; readonly migration: MigrationDetail }
  | { readonly kind: 'detached'; readonly id: string };

export interface WatchOptions {
  /** Progress only, no events. */
  readonly quietly?: boolean;
  readonly waitMs?: number;
}

/** Milliseconds between looks: the broker answers from memory, and a person sees no difference below this. */
const LOOK_MS = 300;

export async function detailOf(world: World, id: string): Promise<MigrationDetail> {
  const broker = await world.broker();
  return answered(await broker.get<MigrationDetail>(`/v1/migrations/${encodeURIComponent(id)}`));
}

async function eventsOf(world: World, id: string): Promise<readonly Entry[]> {
  const broker = await world.broker();
  return answered(await broker.get<{ readonly items: readonly Entry[] }>(`/v1/events?migration=${encodeURIComponent(id)}`)).items;
}

/** Shows a migration until it ends, the time is over, or whoever looks goes away. */
export async function watchMigration(world: World, id: string, { quietly, waitMs }: WatchOptions): Promise<WatchEnd> {
  const { nowMs, interrupt } = world.streams;
  const until = waitMs === undefined ? Number.POSITIVE_INFINITY : nowMs() + waitMs;
  const drawing = createDrawing(world);
  const shown = new Set<string>();
  const look = async (): Promise<MigrationDetail> => {
    // The state first: events that it does not know yet are shown at the next look, but none is missed at the end.
    const migration = await detailOf(world, id);
    const entries = quietly === true ? [] : await eventsOf(world, id);
    for (const entry of entries.filter(({ digest }) => !shown.has(digest))) {
      drawing.entry(entry, migration);
      shown.add(entry.digest);
    }
    drawing.progress(migration);
    return migration;
  };
  try {
    let migration = await look();
    for (;;) {
      if (migration.ended) return { kind: 'ended', migration };
      if (nowMs() >= until) return { kind: 'timed-out', migration };
      await pause(LOOK_MS, interrupt);
      if (interrupt.aborted) return { kind: 'detached', id };
      migration = (await unlessAway(look)) ?? migration;
    }
  } catch (cause) {
    // Ctrl-C in the middle of a look is Ctrl-C.
    if (interrupt.aborted) return { kind: 'detached', id };
    throw cause;
  } finally {
    drawing.end();
  }
}

/** A broker that has answered once and restarts is waited for: the migration does not end with it. */
async function unlessAway<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (cause) {
    if (cause instanceof VerbError && cause.exit === EXIT.unreachable) return undefined;
    throw cause;
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> => sleep(ms, undefined, { signal }).catch(() => undefined);

/** How the end of a watch ends the verb. */
export function endOf(end: WatchEnd): void {
  switch (end.kind) {
    case 'ended':
      outcomeOf(end.migration);
      return;
    case 'timed-out': {
      const { migration, phase } = end.migration;
      throw new VerbError(
        EXIT.waitTimedOut,
        'WAIT_TIMED_OUT',
        `${migration} is still ${phase}`,
        `It goes on; come back with: carnet migration wait ${migration}`,
      );
    }
    case 'detached':
      throw new VerbError(
        EXIT.waitTimedOut,
        'DETACHED',
        'the migration goes on',
        `Come back with: carnet migration watch ${end.id}`,
      );
  }
}

function outcomeOf({ migration, outcome, reasons }: MigrationDetail): void {
  const because = reasons.map((reason) => `${reason.code}: ${reason.text}`).join('; ');
  switch (outcome) {
    case 'open':
    case 'done':
      return;
    case 'refused':
      throw new VerbError(EXIT.refused, 'MIGRATION_REFUSED', because || 'the peer refused');
    case 'withdrawn':
    case 'rolled-back':
      throw new VerbError(
        EXIT.rolledBack,
        'MIGRATION_ROLLED_BACK',
        because || 'the migration was rolled back',
        `The VM stays at its source; every step: carnet migration events ${migration}`,
      );
  }
}
