import { breakGlassFrom, type Journey, type MigrationState } from '@carnet/saga';
import type { FenceEntry } from '../../../libs/hypervisor/src/fence/entry.ts';
import { SPEC, VM } from '../../../libs/saga/src/testing.ts';
import type { Csp } from './csp.ts';
import type { Custody } from './custody.ts';
import type { Violation } from './violation.ts';

export type Abilities = {
  /** Those that are asked. */
  readonly csps: readonly Csp[];
  /** Those that moves may be with. */
  readonly peers: readonly Csp[];
  readonly custody: Custody;
  readonly fenceOf: (csp: Csp) => FenceEntry | undefined;
  readonly journeyOf: (csp: Csp, peer: Csp) => Journey;
  /** Some database was restored: its rows may say of a key or a move what was true before. */
  readonly restored: boolean;
};

const ENDS_OF_TARGET = ['MigrationRelinquished', 'CopyFenced'] as const;
const hasGivenUp = ({ facts }: MigrationState): boolean => ENDS_OF_TARGET.some((type) => facts[type] !== undefined);

/** Every disk, in its place or as it arrived. */
export function hasImage({ host }: Csp, epoch: number): boolean {
  const { paths } = host.fake.ports;
  const there = new Set(host.fake.files.paths());
  return SPEC.disks.every(
    ({ artifact }) =>
      there.has(paths.volume(VM, artifact)) || there.has(paths.staged(VM, epoch as Parameters<typeof paths.staged>[1], artifact)),
  );
}

/** The moves to this CSP, as it knows them itself. */
const comingTo = (csp: Csp, { peers, journeyOf }: Abilities): readonly MigrationState[] =>
  peers.flatMap((peer) => (peer === csp ? [] : journeyOf(csp, peer).migrations.filter((m) => m.target === csp.domain)));

/** It may run the VM without anybody's word: the register does not forbid it, and image and key are there. */
function canAlone(csp: Csp, all: Abilities): boolean {
  const { custody, fenceOf, restored } = all;
  const fence = fenceOf(csp);
  // Its own word is said; its key follows.
  if (fence !== undefined && hasBrokenGlass(csp, fence, all))
    return (restored || custody.isKept(csp.database)) && hasImage(csp, fence.epoch);
  if (!restored && !custody.isActive(csp.database)) return false;
  if (fence?.standing === 'mine') return hasImage(csp, fence.epoch);
  return comingTo(csp, all).some(
    (m) =>
      m.facts.KeyImported !== undefined &&
      !hasGivenUp(m) &&
      (fence === undefined || fence.epoch < m.epoch) &&
      hasImage(csp, m.epoch),
  );
}

/** Its people have taken the VM back: its host resumes by our own event, as soon as its agent answers. */
const hasBrokenGlass = (csp: Csp, fence: FenceEntry, { peers, journeyOf }: Abilities): boolean =>
  fence.role === 'source' &&
  peers.some(
    (peer) =>
      peer !== csp &&
      journeyOf(csp, peer).migrations.some(
        (m) => m.source === csp.domain && m.epoch === fence.epoch && m.facts.BreakGlassResumed !== undefined,
      ),
  );

/** The target has taken the VM for good, by its own ledger and its own host. */
const hasTaken = (m: MigrationState, target: Csp, { fenceOf, journeyOf }: Abilities, source: Csp): boolean =>
  fenceOf(target)?.standing !== 'never' &&
  journeyOf(target, source).migrations.some(
    ({ id, facts }) => id === m.id && facts.StartAuthorized !== undefined && facts.MigrationRelinquished === undefined,
  );

/** It has given the VM away and waits for an answer, with all that it needs to take it back, and a date from which it is in doubt. */
function waits(csp: Csp, all: Abilities): boolean {
  const { custody, peers, fenceOf, journeyOf, restored } = all;
  const fence = fenceOf(csp);
  if (fence?.role !== 'source' || !hasImage(csp, fence.epoch)) return false;
  const isSurrendered = fence.standing === 'surrendered';
  if (restored) return isSurrendered;
  if (!custody.isKept(csp.database)) return false;
  return peers.some((peer) =>
    journeyOf(csp, peer).migrations.some(
      (m) =>
        m.source === csp.domain &&
        m.epoch === fence.epoch &&
        m.target === peer.domain &&
        (isSurrendered || m.sourcePhase === 'released') &&
        breakGlassFrom(m) !== undefined &&
        !hasTaken(m, peer, all, csp),
    ),
  );
}

/** I2, after every step: somebody can run the VM alone, or somebody waits for an answer that is bounded by a date. */
export function nobodyCan(all: Abilities): Violation | undefined {
  if (all.csps.some((csp) => canAlone(csp, all) || waits(csp, all))) return undefined;
  const text = all.csps.map((csp) => {
    const fence = all.fenceOf(csp);
    const { database } = csp;
    const key = all.custody.isActive(database) ? 'active' : all.custody.isKept(database) ? 'kept' : 'none';
    const what = fence === undefined ? 'no register' : `${fence.role} ${fence.standing} ${fence.vcpus} @${fence.epoch}`;
    return `${csp.domain} (${what}, key ${key}, ${hasImage(csp, fence?.epoch ?? 0) ? 'image' : 'no image'})`;
  });
  return { rule: 'I2 never neither', text: `nobody can run the VM, and nobody is in doubt: ${text.join(', ')}` };
}
