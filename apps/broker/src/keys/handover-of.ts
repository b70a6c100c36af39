import type { MigrationId, VmId } from '@carnet/events';
import type { Handover } from '@carnet/keys';
import type { CommandOf, Fact } from '@carnet/saga';

type Agreement = { readonly migration: MigrationId; readonly epoch: CommandOf<'DepositKeys'>['epoch']; readonly vm: VmId } & {
  readonly facts: {
    readonly MigrationIntended: Fact<'MigrationIntended'>;
    readonly MigrationOffered: Fact<'MigrationOffered'>;
    readonly OfferAgreed: Fact<'OfferAgreed'>;
  };
};

/** Both sides make the same hand-over from their own ledgers; nothing of it is taken from the peer's word at this moment. */
export const handoverOf = ({ migration, epoch, vm, facts }: Agreement): Handover => ({
  migration,
  epoch,
  vm,
  source: facts.MigrationIntended.data.source,
  target: facts.MigrationIntended.data.target,
  intent: facts.MigrationIntended.digest,
  offer: facts.MigrationOffered.digest,
  agreed: facts.OfferAgreed.digest,
  publicKey: facts.MigrationOffered.data.publicKey,
  notAfter: facts.MigrationIntended.data.deadline,
});
