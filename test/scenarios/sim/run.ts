import type { Fault } from './faults.ts';
import { type Federation, type KeysKind, openFederation } from './federation.ts';
import { type Outcome, simulate } from './history.ts';
import { HONEST, MUTANTS, type Mutant } from './mutants.ts';
import { CRASHES, type Crashes, INSTEADS, type Instead } from './stories.ts';

const federations = new Map<KeysKind, Promise<Federation>>();

export const mutantOf = (name: string | undefined): Mutant | undefined =>
  name === undefined || name === HONEST.name ? HONEST : MUTANTS.find((mutant) => mutant.name === name);

/** What a history is made of besides its seed. */
export type Setting = {
  readonly mutant: Mutant;
  readonly keys: KeysKind;
  readonly dishonest: 'nobody' | 'one';
  /** Not `no`: seeds are the places where a process dies, and nothing is drawn. */
  readonly crashes: 'no' | Crashes;
  /** What happens at that place instead. */
  readonly instead: 'no' | Instead;
  /** `fast`: the process was started so (`fast/register.ts`); said here because it is part of what a seed means. */
  readonly signatures: 'full' | 'fast';
  /** Whether the trace tells what processes log. */
  readonly logs: boolean;
};
export const SETTING: Setting = {
  mutant: HONEST,
  keys: 'real',
  dishonest: 'nobody',
  crashes: 'no',
  instead: 'no',
  signatures: 'full',
  logs: false,
};

/** One seed, of which the faults of `without` are left out. */
export async function runSeed(
  seed: number,
  { mutant, keys, dishonest, crashes, instead, logs }: Setting = SETTING,
  without: ReadonlySet<number> = new Set(),
): Promise<Outcome> {
  const opening = federations.get(keys) ?? openFederation(keys);
  federations.set(keys, opening);
  const beside = mutant.forgives === true ? 'one' : dishonest;
  const options = { mutant, without, dishonest: beside, logs, federation: await opening };
  if (crashes === 'no') return simulate({ ...options, seed });
  const elsewhere = instead === 'no' ? {} : { elsewhere: INSTEADS[instead] };
  return simulate({ ...options, seed: 1, script: { crashAt: seed, ...CRASHES[crashes], ...elsewhere } });
}

/** Tries that shrinking may cost: each is a whole history. */
const TRIES_MAX = 60;

/** Leaves out halves, quarters, … of the faults while the same rule is still broken; in the end each alone, again until none can be left out. */
export async function shrink(
  seed: number,
  setting: Setting,
  failing: Outcome,
): Promise<{ readonly outcome: Outcome; readonly without: ReadonlySet<number> }> {
  const rule = failing.violation?.rule;
  let outcome = failing;
  let without: ReadonlySet<number> = new Set<number>();
  let tries = 0;
  /** True: some were left out. */
  const pass = async (size: number): Promise<boolean> => {
    const before = without;
    for (let at = 0; at < outcome.faults.length && tries < TRIES_MAX; ) {
      const left: readonly Fault[] = outcome.faults.slice(at, at + size);
      const more = new Set([...without, ...left.map(({ n }) => n)]);
      tries += 1;
      const next = await runSeed(seed, setting, more);
      if (next.violation?.rule === rule) {
        outcome = next;
        without = more;
      } else at += size;
    }
    return without !== before;
  };
  for (let size = Math.ceil(failing.faults.length / 2); size > 1; size = Math.ceil(size / 2)) await pass(size);
  while (await pass(1));
  return { outcome, without };
}
