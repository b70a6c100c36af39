/** One contender's runs of one case. Figures are medians over the runs; each run is interleaved with the others'. */
export interface Series {
  readonly name: string;
  readonly values: readonly number[];
  readonly median: number;
  /** CPU of both ends together, in seconds per run. */
  readonly cpuSeconds?: number;
  /** Where there are two ends: the CPU of each. */
  readonly cpuOfEnds?: { readonly source: number; readonly target: number };
  /** Largest resident size of any one process, in MiB. */
  readonly peakMiB?: number;
  /** What it makes sure of, and anything that must be known to read the figure. */
  readonly remark?: string;
}

export interface BenchCase {
  readonly name: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  readonly ours: Series;
  readonly peers: readonly Series[];
  /** Ours against each peer, by name: above 1 we are better, whatever the unit. */
  readonly ratios: Readonly<Record<string, number>>;
}

/** What a benchmark came to; plain JSON. */
export interface BenchResult {
  readonly name: string;
  readonly cases: readonly BenchCase[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]];
  if (low === undefined || high === undefined) throw new Error('expected at least one run');
  return (low + high) / 2;
}

/** The smallest value that at least this share of all values does not exceed (nearest rank). */
export function quantile(values: readonly number[], share: number): number {
  const found = [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(values.length * share) - 1)];
  if (found === undefined) throw new Error('expected at least one value');
  return found;
}

/** The two quantiles that are told of what waits, and what they are called. */
export const P50_P99 = [
  ['p50', 0.5],
  ['p99', 0.99],
] as const;

/** Milliseconds that were waited, told by their quantile at `share`. */
export const waits = (name: string, values: readonly number[], share: number, remark: string): Series => ({
  name,
  values: values.map((ms) => Math.round(ms * 10) / 10),
  median: quantile(values, share),
  remark,
});

/** To people who wait; the result goes to stdout. */
export const say = (text: string): void => void process.stderr.write(`${text}\n`);

const round = (value: number): number => Number(value.toPrecision(3));

export function benchCase(
  name: string,
  unit: string,
  better: 'higher' | 'lower',
  ours: Series,
  peers: readonly Series[],
): BenchCase {
  const ratio = (peer: Series): number => round(better === 'higher' ? ours.median / peer.median : peer.median / ours.median);
  return { name, unit, better, ours, peers, ratios: Object.fromEntries(peers.map((peer) => [peer.name, ratio(peer)])) };
}

function cpuText({ cpuSeconds, cpuOfEnds }: Series): string {
  if (cpuSeconds === undefined) return '';
  const ends = cpuOfEnds === undefined ? '' : ` (${cpuOfEnds.source.toFixed(1)} + ${cpuOfEnds.target.toFixed(1)})`;
  return `${cpuSeconds.toFixed(1)} CPU s${ends}`.padStart(cpuOfEnds === undefined ? 12 : 26);
}

/** A table for people. */
export function renderResult(result: BenchResult): string {
  const lines = result.cases.flatMap(({ name, unit, ours, peers, ratios }) => [
    `${result.name}: ${name} (${unit}, median of ${ours.values.length})`,
    ...[ours, ...peers].map((series) =>
      [
        `  ${series.name.padEnd(34)}${String(round(series.median)).padStart(9)}`,
        cpuText(series),
        series.peakMiB === undefined ? '' : `${Math.round(series.peakMiB)} MiB`.padStart(10),
        ratios[series.name] === undefined ? '' : `  ours × ${ratios[series.name]}`,
        series.remark === undefined ? '' : `  ${series.remark}`,
      ].join(''),
    ),
  ]);
  return `${lines.join('\n')}\n`;
}
