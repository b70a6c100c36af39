import { setTimeout as sleep } from 'node:timers/promises';
import { humanBytes } from './output.ts';
import type { Entry, MigrationDetail } from './rows.ts';
import { valueOf, type World } from './world.ts';

export type WatchEnd =
  | { readonly kind: 'ended'; readonly migration: MigrationDetail }
  | { readonly kind: 'timed-out'; readonly migration: MigrationDetail }
  | { readonly kind: 'detached' };

/** Between looks: the broker answers from memory, and a person sees no difference below this. */
const LOOK_MS = 300;

/**
 * Shows a migration until it ends. On a terminal: one line per event as it comes, and a line of progress that is redrawn.
 * Piped: one JSON line per event, nothing else on stdout.
 */
export async function watchMigration(world: World, id: string, waitMs?: number): Promise<WatchEnd> {
  const { streams } = world;
  const until = waitMs === undefined ? Number.POSITIVE_INFINITY : streams.nowMs() + waitMs;
  const drawing = createDrawing(world);
  const shown = new Set<string>();
  for (;;) {
    if (streams.interrupt.aborted) return { kind: 'detached' };
    const migration = valueOf(await world.broker().get<MigrationDetail>(`/v1/migrations/${encodeURIComponent(id)}`));
    const { items } = valueOf(await world.broker().get<{ readonly items: readonly Entry[] }>(`/v1/events?migration=${encodeURIComponent(id)}`));
    for (const entry of items.filter(({ digest }) => !shown.has(digest))) {
      drawing.entry(entry, migration);
      shown.add(entry.digest);
    }
    drawing.progress(migration);
    if (migration.ended) {
      drawing.end();
      return { kind: 'ended', migration };
    }
    if (streams.nowMs() >= until) {
      drawing.end();
      return { kind: 'timed-out', migration };
    }
    await sleep(LOOK_MS, undefined, { signal: streams.interrupt }).catch(() => undefined);
  }
}

interface Drawing {
  readonly entry: (entry: Entry, migration: MigrationDetail) => void;
  readonly progress: (migration: MigrationDetail) => void;
  readonly end: () => void;
}

const CLEAR_LINE = '\r\u001b[K';

function createDrawing({ streams }: World): Drawing {
  if (!streams.isTerminal) {
    return { entry: (entry) => streams.out(`${JSON.stringify(entry)}\n`), progress: () => undefined, end: () => undefined };
  }
  return {
    entry: (entry, migration) => streams.out(`${CLEAR_LINE}${entryLine(entry, migration)}\n`),
    progress: (migration) => streams.err(`${CLEAR_LINE}${progressLine(migration)}`),
    end: () => streams.err(CLEAR_LINE),
  };
}

const LANE_WIDTH = 26;

/** Two lanes: what the source said stands left, what the target said stands right. */
function entryLine(entry: Entry, migration: MigrationDetail): string {
  const text = entry.voidCode === undefined ? entry.type : `${entry.type} void`;
  const left = entry.publisher === migration.source ? text : '';
  const right = entry.publisher === migration.source ? '' : text;
  return `${entry.time.slice(11, 23)}  ${left.padEnd(LANE_WIDTH)}│ ${right}`.trimEnd();
}

function progressLine(migration: MigrationDetail): string {
  const { progress } = migration;
  const head = `${migration.phase}: ${migration.source} ${migration.sourcePhase} → ${migration.target} ${migration.targetPhase}`;
  if (progress === undefined || progress.totalBytes === 0) return head;
  const share = Math.floor((100 * progress.doneBytes) / progress.totalBytes);
  const left = progress.bytesPerSecond > 0 ? (progress.totalBytes - progress.doneBytes) / progress.bytesPerSecond : undefined;
  const eta = left === undefined || share < 5 ? '' : ` ~${Math.ceil(left)} s`;
  return `${head}  ${progress.step} ${share} % of ${humanBytes(progress.totalBytes)}, ${humanBytes(progress.bytesPerSecond)}/s${eta}`;
}
