import type { TrustDomain, VmId } from '@carnet/events';
import { homeOf, loosenedAway, restrictionsOf } from '@carnet/policy';
import { epochAfter, type MigrationState } from '@carnet/saga';
import { type Refusal, refuse } from '@carnet/trust';

export type HolderBreak = {
  readonly migration: MigrationState;
  readonly refusal: Refusal<'TWO_HOLDERS' | 'EPOCH_TWICE' | 'RESTRICTIONS_LOOSENED'>;
};

/** A migration that only its source has heard of takes nothing from anybody. */
const isAnswered = (m: MigrationState): boolean => m.facts.MigrationOffered !== undefined;
const hasMoved = (m: MigrationState): boolean =>
  m.facts.StartAuthorized !== undefined && m.facts.MigrationRelinquished === undefined && m.facts.BreakGlassResumed === undefined;

/**
 * Of one VM, over all pairs of CSPs that were shown: each epoch is taken once, and only the holder sends the VM away. A pair that
 * was not shown may have moved it in between; then at least one epoch is missing, and nothing follows.
 */
export function holderBreaks(vm: VmId, migrations: readonly MigrationState[]): readonly HolderBreak[] {
  const answered = migrations.filter(isAnswered).toSorted((a, b) => a.epoch - b.epoch);
  const breaks: HolderBreak[] = [];
  let holder: string = vm.slice(0, vm.indexOf('/'));
  let last: MigrationState | undefined;
  // Attempts that were never answered took epochs, too, and so did broken glasses.
  const epochs = new Set<number>(migrations.flatMap((m) => [m.epoch, epochAfter(m)]));
  for (const m of answered) {
    if (last?.epoch === m.epoch)
      breaks.push({
        migration: m,
        refusal: refuse('EPOCH_TWICE', `epoch ${m.epoch} was taken twice`, { expected: last.id, got: m.id }),
      });
    else if (m.source !== holder && isUnbroken(epochs, last?.epoch ?? 0, m.epoch))
      breaks.push({ migration: m, refusal: twoHolders(holder, m.source) });
    holder = hasMoved(m) ? m.target : m.source;
    last = m;
  }
  return breaks;
}

/**
 * Whoever received a VM sends it on with restrictions at least as tight: so no third CSP is a way around them. Only where every epoch
 * between was shown: else it may have been home, which may loosen them.
 */
export function loosenings(vm: VmId, migrations: readonly MigrationState[]): readonly HolderBreak[] {
  const epochs = new Set<number>(migrations.flatMap((m) => [m.epoch, epochAfter(m)]));
  const moves = migrations.filter((m) => m.facts.MigrationIntended !== undefined).toSorted((a, b) => a.epoch - b.epoch);
  let last: MigrationState | undefined;
  const breaks: HolderBreak[] = [];
  for (const m of moves) {
    const looser =
      last !== undefined && m.source !== homeOf(vm) && isUnbroken(epochs, last.epoch, m.epoch) ? between(last, m) : undefined;
    if (looser !== undefined)
      breaks.push({ migration: m, refusal: refuse('RESTRICTIONS_LOOSENED', `${m.source} sends it on, and ${looser}`) });
    if (hasMoved(m)) last = m;
  }
  return breaks;
}

function between(before: MigrationState, after: MigrationState): string | undefined {
  const [had, has] = [before.facts.MigrationIntended?.data.spec, after.facts.MigrationIntended?.data.spec];
  return had === undefined || has === undefined ? undefined : loosenedAway(restrictionsOf(had), restrictionsOf(has));
}

const twoHolders = (holder: string, source: TrustDomain): Refusal<'TWO_HOLDERS'> =>
  refuse('TWO_HOLDERS', 'the VM was sent away by a CSP that did not hold it', { expected: holder, got: source });

/** Whether every epoch between the two was shown, so that no unseen move fits in. */
function isUnbroken(epochs: ReadonlySet<number>, after: number, before: number): boolean {
  for (let epoch = after + 1; epoch < before; epoch++) if (!epochs.has(epoch)) return false;
  return true;
}
