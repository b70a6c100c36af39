import type { Fault } from './faults.ts';
import { type Identity, makeIdentities } from './identities.ts';
import { HONEST, MUTANTS, type Mutant } from './mutants.ts';
import { type Outcome, simulate } from './world.ts';

/** What is checked of a history in which a database was restored. */
export type Restored = 'safety' | 'all';

let identities: Promise<ReadonlyMap<Identity['domain'], Identity>> | undefined;

export const mutantOf = (name: string | undefined): Mutant | undefined =>
  name === undefined || name === HONEST.name ? HONEST : MUTANTS.find((mutant) => mutant.name === name);

/** One seed; the federation's certificates are made once for a process. */
export async function runSeed(
  seed: number,
  mutant: Mutant = HONEST,
  without: ReadonlySet<number> = new Set(),
  restored: 'safety' | 'all' = 'safety',
): Promise<Outcome> {
  identities ??= makeIdentities();
  return simulate({ seed, mutant, without, restored, identities: await identities });
}

/** Tries that shrinking may cost: each is a whole history. */
const TRIES_MAX = 60;

/** Leaves out halves, quarters, … of the faults while the same rule is still broken. */
export async function shrink(
  seed: number,
  mutant: Mutant,
  failing: Outcome,
  restored: Restored,
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
      const next = await runSeed(seed, mutant, more, restored);
      if (next.violation?.rule === rule) {
        outcome = next;
        without = more;
      } else at += size;
    }
  }
  return { outcome, without };
}
