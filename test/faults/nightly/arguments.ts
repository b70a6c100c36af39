import { parseArgs } from 'node:util';
import { CELLS, FAULTS, nameOf, PHASES, type Phase } from './matrix.ts';

const RUNS = 200;
const STOP_SECONDS = 60;

export const HELP = `npm run faults -- [options]: real migrations of a real guest between two real clouds, each with one fault.

  --runs N          how many runs (default ${RUNS}; ${CELLS.length} are all cells: every fault, phase and victim)
  --seed N          decides the order of the cells and the modes (default 1)
  --run K           only the K-th run of that seed
  --only FAULT      only faults whose name contains the text, e.g. kill, qemu, 'stop broker'
  --phase P         only faults at this event, e.g. KeyReleased
  --stop-seconds N  how long a long SIGSTOP lasts (default ${STOP_SECONDS}); one stop in twelve is long, the others last 3 s
  --keep-going      after a failed run start both clouds anew and go on
  --list            prints the runs, and runs none
  --help            this text

Needs root (network namespaces, mounts, two Unix users). Logs of a failed run are kept in .carnet/faults/.

Faults:
  ${FAULTS.map(nameOf).join(', ')}
Phases:
  ${PHASES.map(([phase]) => phase).join(', ')}
`;

export type Selected = {
  readonly kind: 'runs' | 'list';
  readonly runs: number;
  readonly seed: number;
  readonly run?: number;
  readonly only?: string;
  readonly phase?: Phase;
  readonly stopSeconds: number;
  readonly afterFailure: 'stop' | 'go on';
};
export type Wanted = Selected | { readonly kind: 'help' } | { readonly kind: 'wrong'; readonly text: string };

const wrong = (text: string): Wanted => ({ kind: 'wrong', text });
const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const OPTIONS = {
  runs: text,
  seed: text,
  run: text,
  only: text,
  phase: text,
  'stop-seconds': text,
  'keep-going': flag,
  list: flag,
  help: flag,
};

export function parseWanted(given: readonly string[]): Wanted {
  let values: Readonly<Record<string, string | boolean | undefined>>;
  try {
    ({ values } = parseArgs({ args: [...given], options: OPTIONS }));
  } catch (cause) {
    return wrong(cause instanceof Error ? cause.message : String(cause));
  }
  if (values['help'] === true) return { kind: 'help' };
  const number = (name: string, otherwise: number): number => {
    const value = values[name] ?? String(otherwise);
    return typeof value === 'string' && /^\d{1,6}$/.test(value) ? Number(value) : Number.NaN;
  };
  const [runs, seed, run, stopSeconds] = [
    number('runs', RUNS),
    number('seed', 1),
    number('run', 1),
    number('stop-seconds', STOP_SECONDS),
  ];
  if ([runs, seed, run, stopSeconds].some(Number.isNaN) || runs === 0 || run === 0)
    return wrong('expected a whole number above 0');
  const { only, phase: named } = values;
  const phase = PHASES.map(([name]) => name).find((name) => name === named);
  if (named !== undefined && phase === undefined) return wrong(`no phase ${String(named)}`);
  if (typeof only === 'string' && !FAULTS.some((fault) => nameOf(fault).includes(only))) return wrong(`no fault ${only}`);
  return {
    kind: values['list'] === true ? 'list' : 'runs',
    runs,
    seed,
    stopSeconds,
    ...(values['run'] === undefined ? {} : { run }),
    ...(typeof only === 'string' ? { only } : {}),
    ...(phase === undefined ? {} : { phase }),
    afterFailure: values['keep-going'] === true ? 'go on' : 'stop',
  };
}
