import type { Digest, TrustDomain } from '@carnet/events';
import { type Custody, type MigrationState, summarize } from '@carnet/saga';
import type { AuditedCustody, LedgerName } from '../report.ts';

/** The position of an event in a ledger that was shown. */
export type PositionOf = (ledger: LedgerName, digest: Digest) => number | undefined;

type Keepers = Pick<Custody, 'canOpen' | 'suspended'>;
const NOBODY: Keepers = { canOpen: [], suspended: [] };

/** Who could open the image from when on, and at each line what changed, by which event of which ledger. */
export const custodyOf = (m: MigrationState, positionOf: PositionOf): readonly AuditedCustody[] =>
  summarize(m).custody.map((entry, i, all) => {
    const { at, event, because, canOpen, suspended } = entry;
    const ledger = ledgerOf(m, entry);
    return {
      at,
      event,
      because,
      ledger,
      seq: positionOf(ledger, because) ?? 0,
      domains: canOpen,
      suspended,
      ...changesOf(all[i - 1] ?? NOBODY, entry),
    };
  });

/** Only the target relinquishes, or discards; all else that moves custody is the source's to say. */
const ledgerOf = ({ source, target }: MigrationState, { event }: Custody): LedgerName =>
  event === 'MigrationRelinquished' || event === 'CopyDiscarded'
    ? { publisher: target, audience: source }
    : { publisher: source, audience: target };

function changesOf(before: Keepers, now: Keepers): Pick<AuditedCustody, 'gained' | 'lost' | 'destroyed'> {
  const without = (some: readonly TrustDomain[], others: readonly TrustDomain[]): readonly TrustDomain[] =>
    some.filter((one) => !others.includes(one));
  const keepers = [...now.canOpen, ...now.suspended];
  return {
    gained: without(now.canOpen, before.canOpen),
    lost: without(before.canOpen, now.canOpen),
    destroyed: without([...before.canOpen, ...before.suspended], keepers),
  };
}
