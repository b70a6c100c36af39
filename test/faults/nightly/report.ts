import { CELLS, cellOf, nameOf, PHASES, type Run } from './matrix.ts';
import type { Result } from './one-run.ts';
import type { Line } from './results.ts';

export const say = (text: string): void => void process.stdout.write(`${text}\n`);

export type Played = { readonly run: Run; readonly result: Result };

export const textOfRun = ({ number, fault, phase, whose, mode }: Run): string =>
  `${String(number).padStart(4)}  ${nameOf(fault).padEnd(19)} ${phase.padEnd(18)} ${whose.padEnd(7)} ${mode.padEnd(8)}`.trimEnd();

export function textOf({ run, result }: Played): string {
  const words = [
    result.failure === undefined ? result.outcome : `FAILED: ${result.failure}`,
    ...(result.hit === 'nothing' ? ['HIT NOTHING'] : []),
    ...result.notes.map((note) => `(${note})`),
  ];
  return `${textOfRun(run).padEnd(63)} ${result.seconds.toFixed(1).padStart(6)} s  ${words.join(' ')}`;
}

const ENDINGS = ['done', 'rolled-back', 'withdrawn', 'refused'] as const;
const median = (all: readonly number[]): number => all.toSorted((x, y) => x - y)[Math.floor(all.length / 2)] ?? 0;
const hitCells = (lines: readonly Line[]): number =>
  new Set(lines.filter(({ hit }) => hit === 'something').map(({ fault, phase, whose }) => `${fault} ${phase} ${whose}`)).size;

/** One row for each fault: how often it came, at how many phases, at how many of its cells there was something to hit, how the moves ended. */
export function tableOf(all: readonly Line[]): string {
  const rows = [...Map.groupBy(all, ({ fault }) => fault)].map(([name, lines]) => {
    const good = lines.filter(({ failure }) => failure === undefined);
    const cells = CELLS.filter(({ fault }) => nameOf(fault) === name);
    const row = [
      name,
      lines.length,
      `${new Set(lines.map(({ phase }) => phase)).size} of ${PHASES.length}`,
      `${hitCells(lines)} of ${cells.length}`,
      lines.filter(({ hit }) => hit === 'nothing').length,
      ...ENDINGS.map((ending) => good.filter(({ outcome }) => outcome === ending).length),
      lines.length - good.length,
      median(lines.map(({ seconds }) => seconds)).toFixed(1),
    ];
    return `| ${row.join(' | ')} |`;
  });
  return [
    '| Fault | Runs | Phases | Cells hit | hit nothing | done | rolled back | withdrawn | refused | failed | median s |',
    '|---|---|---|---|---|---|---|---|---|---|---|',
    ...rows.toSorted(),
  ].join('\n');
}

/** Of all cells, and of the runs: the last line of a series. */
export function sumOf(all: readonly Line[]): string {
  const failed = all.filter(({ failure }) => failure !== undefined).length;
  const nothing = all.filter(({ hit }) => hit === 'nothing').length;
  return `${all.length} runs, ${failed} failed, ${nothing} hit nothing`;
}

/** What is left to play of the whole matrix, by the numbers that it has in this order. */
export function coverageOf(all: readonly Line[], deck: readonly Run[]): string {
  const played = new Set(all.map(({ fault, phase, whose }) => `${fault} ${phase} ${whose}`));
  const left = deck.filter((run) => !played.has(cellOf(run)));
  const next = left[0] === undefined ? '' : `; the first that was not: --from ${left[0].number}`;
  return `${CELLS.length - left.length} of ${CELLS.length} cells played, ${hitCells(all)} with something to hit${next}`;
}
