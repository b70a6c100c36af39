import { parseArgs } from 'node:util';
import { CELLS, deckOf, FAULTS, nameOf, PHASES, type Phase, type Run } from './matrix.ts';

const RUNS = 200;
const STOP_SECONDS = 60;
const TRAINS_MAX = 8;

export const HELP = `npm run faults -- [options]: real migrations of a real guest between two real clouds, each with one fault.

  --runs N|all      how many runs (default ${RUNS}); all: each of the ${CELLS.length} cells once (a fault, a phase, and whose victim)
  --seed N          decides the order of the cells and the modes (default 1)
  --from K          begins with the K-th run: goes on with a series that was ended
  --run K[,L...]    only these runs of that seed
  --only FAULT      only faults whose name contains the text, e.g. kill, qemu, 'stop broker'
  --phase P         only faults at this event, e.g. KeyReleased
  --stop-seconds N  how long a long SIGSTOP lasts (default ${STOP_SECONDS}); the others last 3 s
  --long-stops W    some (default): one stop in twelve is long; all; none
  --patience N      waits N times as long for what has to come: for a machine that is busy with something else
  --trains N        N pairs of clouds side by side, each with its share of the runs (default 1; at most ${TRAINS_MAX})
  --keep-going      after a failed run start both clouds anew and go on
  --list            prints the runs, and runs none
  --report          prints the table of all runs of this seed that were ever played here, and runs none
  --help            this text

Needs root (network namespaces, mounts, two Unix users). Each run is a line of .carnet/faults/seed-S.jsonl, and a failed one
leaves its logs beside it.

Faults:
  ${FAULTS.map(nameOf).join(', ')}
Phases:
  ${PHASES.map(([phase]) => phase).join(', ')}
`;

const LONG_STOPS = ['some', 'all', 'none'] as const;
export type LongStops = (typeof LONG_STOPS)[number];

export type Selected = {
  readonly kind: 'runs' | 'list' | 'report';
  readonly runs: number;
  readonly seed: number;
  readonly from: number;
  readonly chosen?: readonly number[];
  readonly only?: string;
  readonly phase?: Phase;
  readonly stopSeconds: number;
  readonly longStops: LongStops;
  readonly patience: number;
  readonly trains: number;
  readonly afterFailure: 'stop' | 'go on';
};
export type Wanted = Selected | { readonly kind: 'help' } | { readonly kind: 'wrong'; readonly text: string };

const wrong = (text: string): Wanted => ({ kind: 'wrong', text });
const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const OPTIONS = {
  runs: text,
  seed: text,
  from: text,
  run: text,
  only: text,
  phase: text,
  'stop-seconds': text,
  'long-stops': text,
  patience: text,
  trains: text,
  'keep-going': flag,
  list: flag,
  report: flag,
  help: flag,
} as const;

type Values = ReturnType<typeof parseArgs<{ readonly options: typeof OPTIONS }>>['values'];

export function parseWanted(given: readonly string[]): Wanted {
  let values: Values;
  try {
    ({ values } = parseArgs({ args: [...given], options: OPTIONS }));
  } catch (cause) {
    return wrong(cause instanceof Error ? cause.message : String(cause));
  }
  return values.help === true ? { kind: 'help' } : selectionOf(values);
}

const numberOf = (value: string | undefined, otherwise: number): number =>
  value === undefined ? otherwise : /^\d{1,6}$/.test(value) ? Number(value) : Number.NaN;

function selectionOf(values: Values): Wanted {
  const runs = values.runs === 'all' ? CELLS.length : numberOf(values.runs, RUNS);
  const [from, patience, trains] = [numberOf(values.from, 1), numberOf(values.patience, 1), numberOf(values.trains, 1)];
  const chosen = values.run?.split(',').map((one) => numberOf(one, 0));
  const [seed, stopSeconds] = [numberOf(values.seed, 1), numberOf(values['stop-seconds'], STOP_SECONDS)];
  if (![runs, from, patience, trains, ...(chosen ?? [])].every((number) => number > 0) || [seed, stopSeconds].some(Number.isNaN))
    return wrong('expected a whole number above 0');
  if (trains > TRAINS_MAX) return wrong(`expected --trains 1 to ${TRAINS_MAX}`);
  const { only } = values;
  if (only !== undefined && !FAULTS.some((fault) => nameOf(fault).includes(only))) return wrong(`no fault ${only}`);
  const phase = PHASES.map(([name]) => name).find((name) => name === values.phase);
  if (values.phase !== undefined && phase === undefined) return wrong(`no phase ${values.phase}`);
  const longStops = LONG_STOPS.find((which) => which === (values['long-stops'] ?? 'some'));
  if (longStops === undefined) return wrong(`expected --long-stops ${LONG_STOPS.join(', ')}`);
  return {
    kind: values.report === true ? 'report' : values.list === true ? 'list' : 'runs',
    runs,
    seed,
    from,
    stopSeconds,
    longStops,
    patience,
    trains,
    ...(chosen === undefined ? {} : { chosen }),
    ...(only === undefined ? {} : { only }),
    ...(phase === undefined ? {} : { phase }),
    afterFailure: values['keep-going'] === true ? 'go on' : 'stop',
  };
}

/** In the order of the seed. */
export const runsOf = ({ runs, seed, from, chosen, only, phase, longStops }: Selected): readonly Run[] =>
  deckOf(seed, Math.max(runs, ...(chosen ?? [])), longStops).filter(
    (one) =>
      one.number >= from &&
      (chosen === undefined || chosen.includes(one.number)) &&
      (only === undefined || nameOf(one.fault).includes(only)) &&
      (phase === undefined || one.phase === phase),
  );
