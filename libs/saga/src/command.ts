import type { Digest, Epoch, MigrationId, MigrationMode, TrustDomain, VmId } from '@carnet/events';
import type { Fact, FactType } from './journey.ts';

/**
 * What a side may owe, and the facts that its performer needs: nothing else need be remembered. Source first, then target,
 * each in the order of the protocol.
 */
export const NEEDS = {
  AgreeOffer: ['MigrationIntended', 'MigrationOffered'],
  DepositKeys: ['MigrationIntended', 'MigrationOffered', 'OfferAgreed'],
  QuiesceVm: ['MigrationIntended', 'OfferAgreed', 'KeyDeposited', 'DepositAcknowledged', 'TargetReady'],
  SealImage: ['MigrationIntended', 'MigrationOffered', 'OfferAgreed', 'KeyDeposited', 'SourceQuiesced'],
  ReleaseKeys: [
    'MigrationIntended',
    'MigrationOffered',
    'OfferAgreed',
    'KeyDeposited',
    'DepositAcknowledged',
    'TargetReady',
    'ImageSealed',
    'ImageVerified',
  ],
  ResumeVm: ['MigrationIntended'],
  RetireSource: ['MigrationIntended', 'KeyDeposited', 'ImageSealed', 'KeyReleased', 'VmStarted', 'MigrationFinalized'],
  Withdraw: ['MigrationIntended'],

  AnswerIntent: ['MigrationIntended'],
  AcknowledgeDeposit: ['MigrationIntended', 'MigrationOffered', 'OfferAgreed', 'KeyDeposited'],
  ReadyTarget: ['MigrationIntended', 'MigrationOffered', 'OfferAgreed', 'KeyDeposited', 'DepositAcknowledged'],
  ReceiveImage: ['MigrationIntended', 'MigrationOffered', 'OfferAgreed', 'KeyDeposited', 'ImageSealed'],
  ImportKeys: [
    'MigrationIntended',
    'MigrationOffered',
    'OfferAgreed',
    'KeyDeposited',
    'DepositAcknowledged',
    'ImageSealed',
    'ImageVerified',
    'KeyReleased',
  ],
  ReplaceKeys: ['MigrationIntended', 'MigrationOffered', 'KeyDeposited', 'KeyImported'],
  AuthorizeStart: ['MigrationIntended', 'MigrationOffered', 'OfferAgreed', 'SourceQuiesced', 'KeyImported'],
  StartVm: ['MigrationIntended', 'MigrationOffered', 'KeyDeposited', 'ImageSealed', 'KeyImported', 'StartAuthorized'],
  ObserveHealth: ['MigrationIntended', 'StartAuthorized', 'VmStarted'],
  RekeyVolumes: ['MigrationIntended', 'KeyDeposited', 'KeyImported', 'VmHealthy'],
  ReencryptVolumes: ['MigrationIntended', 'KeyDeposited', 'KeyImported', 'StartAuthorized', 'VmHealthy'],
  Finalize: ['MigrationIntended', 'VmHealthy', 'VolumeRekeyed'],
  Relinquish: ['MigrationIntended', 'MigrationOffered'],
  FenceCopy: ['MigrationIntended', 'MigrationOffered', 'KeyReleased', 'BreakGlassResumed'],
} as const satisfies Readonly<Record<string, readonly FactType[]>>;

export type CommandType = keyof typeof NEEDS;

/** Why a side gives up by itself; an operator's or performer's reasons come with the proposal. */
export type EndCode = 'EXPIRED' | 'TARGET_REFUSED' | 'TARGET_RELINQUISHED' | 'SOURCE_WITHDREW' | 'SOURCE_BROKE_GLASS';
export type EndReason = { readonly code: EndCode; readonly text: string };

/** What only some commands say beyond their facts. */
type Particulars = {
  readonly Withdraw: { readonly reason: EndReason };
  /** `neverRequired`: the fold wants the host's *never*. The performer has it recorded in any case before publishing. */
  readonly Relinquish: { readonly reason: EndReason; readonly neverRequired: boolean };
  /** `relinquished`: what reopens a host that has recorded *surrendered*, if the target has given the VM back. */
  readonly ResumeVm: {
    readonly cites: Digest;
    readonly relinquished: Fact<'MigrationRelinquished'> | undefined;
    /** Then the VM runs in the epoch that this opened, whatever the target says afterwards. */
    readonly brokeGlass: Fact<'BreakGlassResumed'> | undefined;
  };
  /** What was agreed, done before the start. */
  readonly ReplaceKeys: { readonly method: 'slot' | 'full' };
  /** `rekeyed`: which keys open the volumes now, if not those that came. */
  readonly StartVm: { readonly rekeyed: Fact<'VolumeRekeyed'> | undefined };
  /** Nothing was agreed, and that is said. */
  readonly RekeyVolumes: { readonly method: 'none' };
  /** What was agreed, done on the VM that runs. */
  readonly ReencryptVolumes: { readonly method: 'full-online' };
};

/** A command without its particulars. */
export type Owed<C extends CommandType> = {
  readonly type: C;
  readonly migration: MigrationId;
  readonly vm: VmId;
  readonly epoch: Epoch;
  readonly mode: MigrationMode;
  readonly peer: TrustDomain;
  /** The event that brought this about: agents' commands and logs carry it. */
  readonly because: Digest;
  readonly facts: { readonly [T in (typeof NEEDS)[C][number]]: Fact<T> };
};

/** Something a side still owes; performing it twice does no harm. Ends in an event of that side, or in giving up. */
export type Command = {
  readonly [C in CommandType]: Owed<C> & (C extends keyof Particulars ? Particulars[C] : unknown);
}[CommandType];
export type CommandOf<C extends CommandType> = Extract<Command, { readonly type: C }>;
