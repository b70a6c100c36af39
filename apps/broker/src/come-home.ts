import type { TrustDomain } from '@carnet/events';
import type { KeyManager } from '@carnet/keys';
import { hasFacts, type Journey, type MigrationState } from '@carnet/saga';
import type { Store } from '@carnet/store';
import { handoverOf } from './keys/handover-of.ts';
import { inTransaction } from './keys/new-dek.ts';

export interface ComeHomePorts {
  readonly self: TrustDomain;
  readonly store: Store;
  readonly keys: Pick<KeyManager, 'sharedByLedger' | 'releasedByLedger'>;
}

/**
 * Events of ours that a database had lost come home from peers or the bus, and not the rows that were committed with them. What has come or gone is the
 * business of `here.ts` and `gone.ts`; this is for the rest: with whom keys were shared, and that those of a release which has no answer yet are
 * suspended. Threat: a key that two CSPs may use. Idempotent; after `here.ts`, which brings keys back in use.
 */
export async function redoWhatCameHome(ports: ComeHomePorts, { migrations }: Journey): Promise<void> {
  for (const m of migrations) await redo(ports, m);
}

async function redo({ self, store, keys }: ComeHomePorts, m: MigrationState): Promise<void> {
  const { id: migration, epoch, vm, source, facts, sourcePhase } = m;
  const { KeyDeposited: deposit, KeyReleased: release } = facts;
  const isOurs = source === self;
  if (deposit === undefined || (!isOurs && facts.DepositAcknowledged === undefined)) return;
  // What we said comes home from our own files, the peer's part of it from the peer: nothing waits for that but the record.
  const isWhole = hasFacts(facts, ['MigrationIntended', 'MigrationOffered', 'OfferAgreed']);
  const handover = isWhole ? handoverOf({ migration, epoch, vm, facts }) : undefined;
  await inTransaction(store, async (tx) => {
    if (handover !== undefined) await keys.sharedByLedger(tx, handover, deposit.data.keys, isOurs ? 'out' : 'in');
    if (isOurs && sourcePhase === 'released' && release !== undefined)
      await keys.releasedByLedger(tx, { migration, epoch, vm, handover, deposit, release: release.data });
  });
}
