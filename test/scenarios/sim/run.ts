import type { Fault } from './faults.ts';
import { type Federation, type KeysKind, openFederation } from './federation.ts';
import { type Outcome, simulate } from './history.ts';
import { HONEST, MUTANTS, type Mutant } from './mutants.ts';
import type { Way } from './wishes.ts';

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
  /** `fast`: the process was started so (`fast/register.ts`); said here because it is part of what a seed means. */
  readonly signatures: 'full' | 'fast';
};
export const SETTING: Setting = {
  mutant: HONEST,
  keys: 'real',
  dishonest: 'nobody',
  crashes: 'no',
  signatures: 'full',
};

const COLD: Way = { mode: 'cold', rekey: 'none' };
const SUSPEND: Way = { mode: 'suspend', rekey: 'slot' };
/** A move; a move that its operator cancels early, at the deposit, and about the release; and the same with saved memory and a new passphrase. */
export const CRASHES = {
  move: { cancelAfterMs: undefined, way: COLD },
  'cancel-50': { cancelAfterMs: 50, way: COLD },
  'cancel-100': { cancelAfterMs: 100, way: COLD },
  'cancel-150': { cancelAfterMs: 150, way: COLD },
  suspend: { cancelAfterMs: undefined, way: SUSPEND },
  'suspend-cancel-100': { cancelAfterMs: 100, way: SUSPEND },
} as const;
export type Crashes = keyof typeof CRASHES;

/** One seed, of which the faults of `without` are left out. */
export async function runSeed(
  seed: number,
  { mutant, keys, dishonest, crashes }: Setting = SETTING,
  without: ReadonlySet<number> = new Set(),
): Promise<Outcome> {
  const opening = federations.get(keys) ?? openFederation(keys);
  federations.set(keys, opening);
  const beside = mutant.forgives === true ? 'one' : dishonest;
  const options = { mutant, without, dishonest: beside, federation: await opening };
  return crashes === 'no'
    ? simulate({ ...options, seed })
    : simulate({ ...options, seed: 1, script: { crashAt: seed, ...CRASHES[crashes] } });
}

/** Tries that shrinking may cost: each is a whole history. */
const TRIES_MAX = 60;

/** Leaves out halves, quarters, … of the faults while the same rule is still broken. */
export async function shrink(
  seed: number,
  setting: Setting,
  failing: Outcome,
): Promise<{ readonly outcome: Outcome; readonly without: ReadonlySet<number> }> {
  const rule = failing.violation?.rule;
  let outcome = failing;
  let without: ReadonlySet<number> = new Set<number>();
  let tries = 0;
  for (
    let size = Math.ceil(failing.faults.length / 2);
    size >= 1 && tries < TRIES_MAX;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
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
  }
  return { outcome, without };
}
