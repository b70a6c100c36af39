import { createEta } from './eta.ts';
import { humanBytes } from './output.ts';
import type { Entry, MigrationDetail } from './rows.ts';
import type { World } from './world.ts';

/** How a watched migration is shown: events on stdout, progress on stderr. */
export interface Drawing {
  readonly entry: (entry: Entry, migration: MigrationDetail) => void;
  readonly progress: (migration: MigrationDetail) => void;
  readonly end: () => void;
}

/** Back to the start of the line, and clear it. */
const CLEAR_LINE = '\r\u001b[K';
const LANE_WIDTH = 26;

/** As a table (on a terminal, or with `-f table`) one line per event, in two lanes; else one JSON line per event. Progress is redrawn where a person looks. */
export function createDrawing({ streams, paint, format }: World): Drawing {
  const eta = createEta();
  const clear = streams.errIsTerminal ? CLEAR_LINE : '';
  const lineOf = (entry: Entry, migration: MigrationDetail): string =>
    format === 'table'
      ? paint(laneLine(entry, migration), entry.voidCode === undefined ? undefined : 'bad')
      : JSON.stringify(entry);
  return {
    entry: (entry, migration) => {
      streams.err(clear);
      streams.out(`${lineOf(entry, migration)}\n`);
    },
    progress: (migration) => {
      if (streams.errIsTerminal) streams.err(`${CLEAR_LINE}${progressLine(migration, eta)}`);
    },
    end: () => streams.err(clear),
  };
}

/** What the source said stands left, what the target said stands right. */
function laneLine({ type, voidCode, publisher, time }: Entry, { source }: MigrationDetail): string {
  const text = voidCode === undefined ? type : `${type} void`;
  const [left, right] = publisher === source ? [text, ''] : ['', text];
  const clock = time.slice('2026-11-23T'.length, '2026-11-23T12:00:00.000'.length);
  return `${clock}  ${left.padEnd(LANE_WIDTH)}│ ${right}`.trimEnd();
}

const PERCENT = 100;

function progressLine(migration: MigrationDetail, eta: ReturnType<typeof createEta>): string {
  const { progress, phase, source, sourcePhase, target, targetPhase } = migration;
  const head = `${phase}: ${source} ${sourcePhase} → ${target} ${targetPhase}`;
  if (progress === undefined || progress.totalBytes === 0) return head;
  const { step, doneBytes, totalBytes, bytesPerSecond } = progress;
  const left = eta(progress);
  const share = Math.floor((PERCENT * doneBytes) / totalBytes);
  return `${head}  ${step} ${share} % of ${humanBytes(totalBytes)}, ${humanBytes(bytesPerSecond)}/s${left === undefined ? '' : ` ~${left} s`}`;
}
