import type { RekeyMethod } from '@carnet/events';
import { describe, expect, it } from 'vitest';
import { failed } from './codes.ts';
import { fakeNetwork } from './fake/artifacts.ts';
import type { FaultPlan } from './fake/faults.ts';
import { hostA, hostB, UUID } from './testing/drive.ts';
import { createRunning, moves, play, type Side, undoing } from './testing/journey.ts';

/** What changes something. Questions fail, too, but a failed question leaves nothing half done. */
const EFFECTS =
  /^(hypervisor\.(?!find|list|hasSecret)|artifacts\.(?!guard|luksPlace|findImage|imageRoom)|volumes\.(?!unlock)|permits\.|files\.(write|append|rename|remove|truncate|blank|flush|ensureDir))/;

/** Counts effects, and fails the n-th one: before it was done, or after it was done and before anyone heard. */
const faultAt = (n: number, when: 'before' | 'after') => {
  let armed = false;
  let seen = 0;
  const plan: FaultPlan = (operation) => {
    if (!armed || !EFFECTS.test(operation)) return undefined;
    seen += 1;
    return seen === n ? { when, setback: failed('STEP_ABORTED', operation) } : undefined;
  };
  return { plan, arm: () => (armed = true), effects: () => seen };
};

type Sides = { readonly source: Side; readonly target: Side };

/** Plays a journey with one crash in it: the effect fails, the agents restart, the broker asks again. */
type Journey = { readonly mode: 'cold' | 'suspend'; readonly ends: 'moved' | 'undone'; readonly rekey: RekeyMethod };

async function playWithCrash({ mode, ends, rekey }: Journey, n: number, when: 'before' | 'after') {
  const network = fakeNetwork();
  const fault = faultAt(n, when);
  const sides: Sides = {
    source: { host: hostA({ network, faults: fault.plan }), name: 'a1' },
    target: { host: hostB({ network, faults: fault.plan }), name: 'b1' },
  };
  await createRunning(sides.source);
  const before = sides.source.host.hypervisor.guest(UUID);
  fault.arm();
  const whole = moves(mode, sides.target.host.leaf, sides.source.host.leaf, rekey);
  const last = whole.findIndex(({ step }) => step === (rekey === 'none' ? 'surrender' : 'rekey'));
  const list = ends === 'moved' ? whole : [...whole.slice(0, last + 1), ...undoing(mode)];
  await play(sides, list, 1, () => {
    expect(
      [sides.source, sides.target].filter(({ host }) => host.hypervisor.guest(UUID) !== undefined).length,
      'never both',
    ).toBeLessThan(2);
    sides.source.host.restart();
    sides.target.host.restart();
  });
  return { sides, before, effects: fault.effects() };
}

const leftAt = ({ host }: Side): readonly string[] =>
  host.files.paths().filter((path) => !/^\/s\/(fence|claims|steps)\//.test(path));

describe.each([
  ['cold', 'moved', 'none'],
  ['cold', 'undone', 'none'],
  ['suspend', 'moved', 'none'],
  ['suspend', 'undone', 'none'],
  ['cold', 'moved', 'slot'],
  ['cold', 'undone', 'slot'],
  ['suspend', 'moved', 'full'],
  ['cold', 'undone', 'full'],
] as const)('a crash at every effect of a %s migration that is %s, re-keyed: %s', (mode, ends, rekey) => {
  it.each(['before', 'after'] as const)('%s it was done: the same end, never both, nothing left behind', async (when) => {
    const { effects } = await playWithCrash({ mode, ends, rekey }, Number.POSITIVE_INFINITY, when);
    expect(effects).toBeGreaterThan(30);
    for (let n = 1; n <= effects; n += 1) {
      const { sides, before } = await playWithCrash({ mode, ends, rekey }, n, when);
      const [winner, loser] = ends === 'moved' ? [sides.target, sides.source] : [sides.source, sides.target];
      const guest = winner.host.hypervisor.guest(UUID);
      expect(guest, `crash ${n}: runs at its end`).toBeDefined();
      if (mode === 'suspend') expect(guest?.boot, `crash ${n}: memory survived`).toBe(before?.boot);
      expect(leftAt(loser), `crash ${n}: nothing at the other side`).toEqual([]);
      expect(
        leftAt(winner).filter((path) => /\.(state|vtpm|partial|rekeying|replaced)$|^\/t/.test(path)),
        `crash ${n}: no memory state, no copy of a vTPM, no other volume`,
      ).toEqual([]);
    }
  }, 60_000);
});
