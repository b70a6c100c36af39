import type { Digest, TrustDomain } from '@carnet/events';
import { z } from 'zod';
import { type PlacedEvent, placedEvent } from '../../../libs/journal/src/stored-event.ts';
import type { Csp } from './csp.ts';

/** An event as one CSP has it, in the order in which it got it. */
export type Entry = PlacedEvent & { readonly envelope: Uint8Array };
/** What has come to stand in a CSP's ledgers since the last look. */
export type News = {
  readonly holder: Csp;
  /** The first look, or the first after a restore: all that stands there. */
  readonly isAnew: boolean;
  readonly entries: readonly Entry[];
  /** A row that is not what its digest says. */
  readonly damaged: string | undefined;
};

export const ledgerName = ({
  publisher,
  audience,
}: {
  readonly publisher: TrustDomain;
  readonly audience: TrustDomain;
}): string => `${publisher} to ${audience}`;

/** Rows are only ever added, at the end; a restore begins them anew. */
const SINCE = 'select rowid as place, digest, envelope from events where rowid > ? order by rowid';

export function createLedgerNews(): (holder: Csp) => News | undefined {
  const seen = new Map<Csp, { readonly place: number; readonly restores: number }>();
  return (holder) => {
    const before = seen.get(holder);
    const isAnew = before?.restores !== holder.restores;
    const rows = holder.database.rows(SINCE, isAnew ? 0 : (before?.place ?? 0));
    if (rows.length === 0 && !isAnew) return undefined;
    seen.set(holder, { place: Number(rows.at(-1)?.['place'] ?? 0), restores: holder.restores });
    const entries: Entry[] = [];
    for (const row of rows) {
      const envelope = z.instanceof(Uint8Array).parse(row['envelope']);
      const digest = String(row['digest']) as Digest;
      try {
        // As the brokers read it: what one of them has read is not read again.
        entries.push({ ...placedEvent({ digest, envelope }), envelope });
      } catch (cause) {
        return { holder, isAnew, entries, damaged: `${holder.domain}: ${digest}: ${String(cause)}` };
      }
    }
    return { holder, isAnew, entries, damaged: undefined };
  };
}
