import { parseArgs } from 'node:util';
import { HONEST, MUTANTS } from './mutants.ts';
import { mutantOf, type Setting } from './run.ts';
import { CRASHES, type Crashes, INSTEADS, type Instead } from './stories.ts';

const crashNames = Object.keys(CRASHES) as readonly Crashes[];
const insteadNames = Object.keys(INSTEADS) as readonly Instead[];

export const HELP = `npm run simulate -- [options]: the real libs under a seeded scheduler, in virtual time.

  --seeds N       how many histories (default 100)
  --from N        the first seed (default 1)
  --seed N        one seed: prints its trace, and shrinks it if it fails
  --logs          what its processes log as well, in the trace
  --mutant NAME   with one rule broken; 'all': each one, until it is caught
  --processes N   child processes (default 2)
  --signatures fast  a keyed hash instead of Ed25519 and RSA-PSS, and a model of the key manager without HPKE
  --dishonest one  one CSP, drawn by the seed, lies: what the others owe each other must hold, and it is convicted
  --crashes STORY no chance: one VM moves, and a process that dies (a host without power, libvirtd that restarts) at each place where one can, in turn
                  ${crashNames.join(', ')}, or all; with --seed N: the Nth place
  --instead NAME  at each of those places no process dies, but the bus is away, new, or set back; the guest dies; databases are restored
                  ${insteadNames.join(', ')}, or all
  --every N       of those places each Nth only
  --keys model    the model of the key manager, with real signatures
  --help          this text

Mutants:
${MUTANTS.map(({ name, breaks }) => `  ${name.padEnd(26)}${breaks}`).join('\n')}
`;

export type Wanted =
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly text: string }
  | { readonly kind: 'one'; readonly seed: number; readonly setting: Setting }
  | { readonly kind: 'mutants'; readonly from: number; readonly seeds: number; readonly setting: Setting }
  | {
      readonly kind: 'crashes';
      readonly stories: readonly Crashes[];
      readonly insteads: readonly Setting['instead'][];
      readonly every: number;
      readonly processes: number;
      readonly setting: Setting;
    }
  | {
      readonly kind: 'many';
      readonly from: number;
      readonly seeds: number;
      /** From one to the next. */
      readonly every: number;
      readonly processes: number;
      readonly setting: Setting;
    };

/** What of a command line says which histories there are: with a seed, the same one again. */
export const givenOf = ({ mutant, keys, signatures, dishonest, crashes, instead, logs }: Setting): readonly string[] => [
  ...(signatures === 'full' ? [] : ['--signatures', signatures]),
  ...(keys === (signatures === 'fast' ? 'model' : 'real') ? [] : ['--keys', keys]),
  ...(dishonest === 'nobody' ? [] : ['--dishonest', dishonest]),
  ...(crashes === 'no' ? [] : ['--crashes', crashes]),
  ...(instead === 'no' ? [] : ['--instead', instead]),
  ...(mutant === HONEST ? [] : ['--mutant', mutant.name]),
  ...(logs ? ['--logs'] : []),
];

/** Runs that history again, prints its trace, and looks for the fewest faults that it needs. */
export const commandOf = (seed: number, setting: Setting): string =>
  ['npm run simulate -- --seed', seed, ...givenOf(setting)].join(' ');

const whole = (text: string): number | undefined => (/^\d{1,9}$/.test(text) ? Number(text) : undefined);

export function parseWanted(given: readonly string[]): Wanted {
  const text = { type: 'string' } as const;
  let values: Readonly<Record<string, string | boolean | undefined>>;
  try {
    ({ values } = parseArgs({
      args: [...given],
      options: {
        seeds: text,
        from: text,
        seed: text,
        mutant: text,
        signatures: text,
        keys: text,
        dishonest: text,
        crashes: text,
        instead: text,
        every: text,
        processes: text,
        logs: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    }));
  } catch (cause) {
    return { kind: 'wrong', text: cause instanceof Error ? cause.message : String(cause) };
  }
  if (values['help'] === true) return { kind: 'help' };
  const number = (name: string, otherwise: number): number | undefined => {
    const value = values[name];
    return typeof value === 'string' ? whole(value) : otherwise;
  };
  const [seeds, from, seed, processes] = [number('seeds', 100), number('from', 1), number('seed', 0), number('processes', 2)];
  const every = number('every', 1);
  if (seeds === undefined || from === undefined || seed === undefined || processes === undefined || every === undefined)
    return { kind: 'wrong', text: 'expected a whole number' };
  const oneOf = <T extends string>(name: string, otherwise: T, other: T): T | undefined => {
    const value = values[name] ?? otherwise;
    return value === otherwise ? otherwise : value === other ? other : undefined;
  };
  const signatures = oneOf('signatures', 'full', 'fast');
  const dishonest = oneOf('dishonest', 'nobody', 'one');
  const keys = oneOf('keys', signatures === 'fast' ? 'model' : 'real', 'model');
  if (signatures === undefined || keys === undefined || dishonest === undefined)
    return { kind: 'wrong', text: 'expected another value of --signatures, --keys or --dishonest' };
  const all = values['mutant'] === 'all';
  const mutant = mutantOf(typeof values['mutant'] === 'string' && !all ? values['mutant'] : HONEST.name);
  if (mutant === undefined) return { kind: 'wrong', text: `no mutant ${String(values['mutant'])}` };
  const story = values['crashes'];
  const stories = crashNames.filter((name) => story === 'all' || story === name);
  if (story !== undefined && stories.length === 0) return { kind: 'wrong', text: `no story ${String(story)}` };
  const wanted = values['instead'];
  const insteads = wanted === undefined ? (['no'] as const) : insteadNames.filter((name) => wanted === 'all' || wanted === name);
  const first = stories[0] ?? 'no';
  const [instead] = insteads;
  if (instead === undefined || (instead !== 'no' && first === 'no'))
    return { kind: 'wrong', text: 'expected --crashes, and what happens instead' };
  const logs = values['logs'] === true;
  const setting: Setting = { mutant, keys, signatures, dishonest, crashes: first, instead, logs };
  if (values['seed'] === undefined && stories.length > 0 && values['from'] === undefined)
    return { kind: 'crashes', stories, insteads, every: Math.max(1, every), processes, setting };
  if (all) return { kind: 'mutants', from, seeds, setting };
  return values['seed'] === undefined
    ? { kind: 'many', from, seeds, every: Math.max(1, every), processes, setting }
    : { kind: 'one', seed, setting };
}
