import type { TrustDomain } from '@carnet/events';
import type { Journey } from '@carnet/saga';
import type { FenceEntry } from '../../../libs/hypervisor/src/fence/entry.ts';
import { nobodyCan } from './able.ts';
import type { Csp } from './csp.ts';
import type { Custody } from './custody.ts';
import { createDeniable } from './deniable.ts';
import { saidTooEarly } from './endings.ts';
import { type HostWatch, watchHost } from './host-watch.ts';
import { createLedgerNews } from './ledger-news.ts';
import { wasInLyingHands } from './lying-hands.ts';
import { createReleased } from './released.ts';
import { createTruth, stateOf } from './truth.ts';
import type { Violation } from './violation.ts';

export type EachStep = ReturnType<typeof createEachStep>;
type Seen = { database: number; disk: number; fence: FenceEntry | undefined };

/**
 * What is looked at after every step that changed a database or a host's disk: I2, I3, I5, and what of I6 can be said then. A step that changed neither
 * costs two comparisons for each CSP.
 *
 * @param lyingDomain of whom nothing is asked
 */
export function createEachStep(custody: Custody, lyingDomain: TrustDomain | undefined) {
  const watches = new Map<Csp, HostWatch>();
  const seen = new Map<Csp, Seen>();
  const folded: { readonly csp: Csp; readonly peer: TrustDomain; readonly state: string }[] = [];
  let everybody: readonly Csp[] = [];
  const news = createLedgerNews();
  const truth = createTruth();
  const deniable = createDeniable((domain) => everybody.find((csp) => csp.domain === domain)?.identity);

  const fenceOf = (csp: Csp): FenceEntry | undefined => watches.get(csp)?.fence();
  const seenOf = (csp: Csp): Seen => {
    const known = seen.get(csp) ?? { database: -1, disk: -1, fence: undefined };
    seen.set(csp, known);
    return known;
  };
  const hasChanged = (csp: Csp): boolean => {
    const { database, disk } = seenOf(csp);
    return database !== csp.database.lastChange() || disk !== watches.get(csp)?.lastChange();
  };
  /** What has been written in an open transaction is nobody's yet. */
  const isReadable = ({ database }: Csp): boolean => !database.isWriting();

  const hosts = (csps: readonly Csp[]): Violation | undefined => {
    for (const csp of csps) {
      const [known, fence] = [seenOf(csp), fenceOf(csp)];
      if (fence === known.fence) continue;
      known.fence = fence;
      const violation = fence === undefined ? undefined : deniable.unproven(csp, fence);
      if (violation !== undefined) return violation;
    }
    return undefined;
  };
  const { journeyOf } = truth;
  const named = (domain: TrustDomain): Csp | undefined => everybody.find((one) => one.domain === domain);
  const released = createReleased(custody, () => everybody, journeyOf);

  return {
    fenceOf,
    journeyOf,
    /** Before anything has happened. */
    begin: (csps: readonly Csp[]): void => {
      if (everybody.length > 0) return;
      everybody = csps;
      for (const csp of csps) watches.set(csp, watchHost(csp.host));
    },
    /** What a broker folded. */
    folded: (domain: TrustDomain, peer: TrustDomain, journey: Journey): void => {
      const csp = named(domain);
      if (csp !== undefined) folded.push({ csp, peer, state: stateOf(journey) });
    },
    /** A broker has looked at a journey, to the end. */
    looked: (domain: TrustDomain, peer: string): void => {
      const csp = named(domain);
      if (csp !== undefined) released.looked(csp, peer);
    },
    mayBeWrong: (csps: readonly Csp[]): boolean => folded.length > 0 || released.isDue() || csps.some(hasChanged),
    /** @param born from now on there is a VM */
    look: (csps: readonly Csp[], born: boolean): Violation | undefined => {
      const changed = csps.filter((csp) => hasChanged(csp) && isReadable(csp));
      const fresh = changed.flatMap((csp) => news(csp) ?? []);
      for (const csp of changed)
        Object.assign(seenOf(csp), { database: csp.database.lastChange(), disk: watches.get(csp)?.lastChange() ?? 0 });
      const restored = csps.some(({ restores }) => restores > 0);
      const isRead = csps.every(isReadable);
      const brokers = isRead ? folded.splice(0).filter(({ csp }) => csp.domain !== lyingDomain) : [];
      for (const one of fresh) {
        const violation = deniable.take(one);
        if (violation !== undefined) return violation;
      }
      const violation = truth.take(fresh);
      if (violation !== undefined) return violation;
      for (const { csp, peer, state } of brokers) {
        const disagrees = restored ? undefined : truth.agrees(csp, peer, state);
        if (disagrees !== undefined) return disagrees;
      }
      for (const csp of changed) {
        const unsigned = deniable.unacknowledged(csp);
        if (unsigned !== undefined) return unsigned;
      }
      if (!born || !isRead) return undefined;
      const inUse = released.inUse();
      if (inUse !== undefined) return inUse;
      const unproven = hosts(csps);
      if (unproven !== undefined) return unproven;
      if (changed.length === 0) return undefined;
      const left = restored ? undefined : saidTooEarly(fresh, custody, fenceOf);
      if (left !== undefined || wasInLyingHands(everybody, lyingDomain)) return left;
      const all = { csps, peers: everybody, custody, fenceOf, restored };
      return nobodyCan({ ...all, journeyOf: (csp, peer) => journeyOf(csp, peer.domain) });
    },
  };
}
