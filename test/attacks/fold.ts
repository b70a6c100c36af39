import { digest, isMigrationEvent, event as ledgerEvent, vmId } from '@carnet/events';
import { evolve, initialJourney, type Journey } from '@carnet/saga';
import { sha256Hex } from '@carnet/trust';
import type { Cloud } from '../faults/harness/cloud.ts';
import { rowsOf } from '../faults/harness/ledger-db.ts';
import { payloadOf } from './rogue-peer.ts';

export type Folded = { readonly journey: Journey; readonly voids: ReadonlyMap<string, string> };

/** What everyone folds from the ledgers as this side holds them: the state of one VM's moves, and what counts for nothing. */
export async function foldedAt({ database }: Pick<Cloud, 'database'>, vm: string): Promise<Folded> {
  const rows = await rowsOf<{ readonly envelope: Buffer; readonly void_code: string | null }>(
    database,
    'select envelope, void_code from events order by placed_at, seq',
  );
  const voids = new Map<string, string>();
  let journey = initialJourney(vmId.parse(vm));
  const moving = new Set<string>();
  for (const { envelope, void_code } of rows) {
    const at = digest.parse(sha256Hex(envelope));
    const read = ledgerEvent.safeParse(payloadOf(envelope));
    if (void_code !== null) voids.set(at, void_code);
    if (!read.success || !isMigrationEvent(read.data)) continue;
    if (read.data.type === 'MigrationIntended' && read.data.data.vm === vm) moving.add(read.data.migration);
    if (!moving.has(read.data.migration)) continue;
    const { journey: after, voidCode } = evolve(journey, { event: read.data, digest: at });
    journey = after;
    if (voidCode !== undefined) voids.set(at, voidCode);
  }
  return { journey, voids };
}
