import type { TrustDomain } from '@carnet/events';
import type { Arrived, KeyManager } from '@carnet/keys';
import { hasFacts, type MigrationState } from '@carnet/saga';
import { handoverOf } from './handover-of.ts';
import { tenantOf } from './projects.ts';

/** What came by a migration, from its signed events alone. `undefined`: nothing did. */
function arrivedOf(self: TrustDomain, m: MigrationState): Arrived | undefined {
  const { facts } = m;
  if (
    !hasFacts(facts, [
      'MigrationIntended',
      'MigrationOffered',
      'OfferAgreed',
      'KeyDeposited',
      'DepositAcknowledged',
      'ImageVerified',
      'KeyReleased',
      'KeyImported',
    ])
  )
    return undefined;
  const { VolumeRekeyed: rekeyed } = facts;
  return {
    handover: handoverOf({ migration: m.id, epoch: m.epoch, vm: m.vm, facts }),
    tenant: tenantOf(self, m.vm, facts.MigrationIntended.data.spec),
    deposit: facts.KeyDeposited,
    acknowledgement: facts.DepositAcknowledged.data,
    release: facts.KeyReleased.digest,
    imported: facts.KeyImported.digest,
    roots: facts.ImageVerified.data.roots,
    memory: facts.VmStarted === undefined ? 'needed' : 'used',
    ...(rekeyed === undefined || rekeyed.data.method === 'none'
      ? {}
      : { rekeyed: { digest: rekeyed.digest, volumes: rekeyed.data.volumes } }),
  };
}

/** What came, looked for and brought back. */
export const arrivals = (keys: Pick<KeyManager, 'missingOf' | 'bringBack'>, self: TrustDomain) => ({
  missing: async (m: MigrationState) => {
    const arrived = arrivedOf(self, m);
    return arrived === undefined ? [] : await keys.missingOf(arrived);
  },
  bringBack: async (m: MigrationState) => {
    const arrived = arrivedOf(self, m);
    if (arrived === undefined) throw new Error(`impossible: ${m.id} imported keys, and its ledger does not say how`);
    return keys.bringBack(arrived);
  },
});
export type Arrivals = ReturnType<typeof arrivals>;
