import type { TrustDomain } from '@carnet/events';
import type { LedgerCopies, LedgerPair } from '../core/copies.ts';
import { copyOf, type ExportFile } from './export-file.ts';

/** Every pair of CSPs that the exports show, each ledger with all its copies. */
export function pairsOf(exports: readonly ExportFile[]): readonly LedgerPair[] {
  const named = exports.flatMap(({ stretches }) =>
    stretches.map(({ publisher, audience }) => [publisher, audience].toSorted().join(' ')),
  );
  return [...new Set(named)].toSorted().flatMap((name): readonly LedgerPair[] => {
    const shown = exports
      .flatMap(({ stretches }) => stretches)
      .find(({ publisher, audience }) => [publisher, audience].toSorted().join(' ') === name);
    if (shown === undefined) return [];
    const [one = shown.publisher, two = shown.audience] = [shown.publisher, shown.audience].toSorted();
    return [[ledgerOf(exports, one, two), ledgerOf(exports, two, one)]];
  });
}

/** Whoever is one of the two holds both: an absent ledger is an empty copy, which is a short one. */
const ledgerOf = (exports: readonly ExportFile[], publisher: TrustDomain, audience: TrustDomain): LedgerCopies => ({
  publisher,
  audience,
  copies: exports
    .filter(({ header }) => header.self === publisher || header.self === audience)
    .map((file) => copyOf(file, publisher, audience)),
});
