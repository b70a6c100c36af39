import { nameOf, PHASES, type Run } from './matrix.ts';
import type { Result } from './one-run.ts';

export type Played = { readonly run: Run; readonly result: Result };

const describeRun = ({ number, fault, phase, whose, mode }: Run): string =>
  `${String(number).padStart(4)}  ${nameOf(fault).padEnd(19)} ${phase.padEnd(18)} ${whose.padEnd(7)} ${mode.padEnd(8)}`;

export const lineOfRun = (run: Run): string => describeRun(run).trimEnd();

export function lineOf({ run, result }: Played): string {
  const words = [
    result.failure === undefined ? result.outcome : `FAILED: ${result.failure}`,
    ...result.notes.map((note) => `(${note})`),
  ];
  return `${describeRun(run)} ${result.seconds.toFixed(1).padStart(6)} s  ${words.join(' ')}`;
}

/** One row for each fault: how often it came, how the moves ended, at how many phases. */
export function tableOf(all: readonly Played[]): string {
  const rows = [...Map.groupBy(all, ({ run }) => nameOf(run.fault))].map(([name, played]) => {
    const ended = (outcome: string): number =>
      played.filter(({ result }) => result.failure === undefined && result.outcome === outcome).length;
    const failed = played.filter(({ result }) => result.failure !== undefined).length;
    const phases = new Set(played.map(({ run }) => run.phase)).size;
    const seconds = played.map(({ result }) => result.seconds).toSorted((x, y) => x - y);
    const median = seconds[Math.floor(seconds.length / 2)] ?? 0;
    return `| ${[name, played.length, `${phases} of ${PHASES.length}`, ended('done'), ended('rolled-back'), ended('withdrawn'), ended('refused'), failed, median.toFixed(1)].join(' | ')} |`;
  });
  return [
    '| Fault | Runs | Phases | done | rolled back | withdrawn | refused | failed | median s |',
    '|---|---|---|---|---|---|---|---|---|',
    ...rows.toSorted(),
  ].join('\n');
}
