import { z } from 'zod';
import {
  keyAnnounced,
  keyRevoked,
  migrationIntended,
  migrationOffered,
  migrationRefused,
  offerAgreed,
} from './data-agreement.ts';
import { breakGlassResumed, copyDiscarded, copyFenced } from './data-break-glass.ts';
import * as escrow from './data-escrow.ts';
import * as handover from './data-handover.ts';
import { keyStateChanged } from './data-keys.ts';
import { agreementAccepted, agreementProposed } from './data-peering.ts';
import { policyAnnounced } from './data-policy.ts';
import { CAUSES_MAX } from './limits.ts';
import { digest, epoch, eventId, migrationId, seq, timestamp, trustDomain } from './scalars.ts';

const common = {
  id: eventId,
  v: z.literal(1),
  publisher: trustDomain,
  audience: trustDomain,
  seq,
  prev: digest,
  causes: z.array(digest).max(CAUSES_MAX).readonly(),
  time: timestamp,
};

const ledgerEvent = <const T extends string, D extends z.ZodType>(type: T, data: D) =>
  z.strictObject({ ...common, type: z.literal(type), data }).readonly();

const migrationEvent = <const T extends string, D extends z.ZodType>(type: T, data: D) =>
  z.strictObject({ ...common, type: z.literal(type), migration: migrationId, epoch, data }).readonly();

/**
 * Every fact of the protocol. Strict: unknown keys are refused. The order of the list is the order of the tables in the
 * protocol (section 4): ledger keys, policy, escrow, agreement, hand-over, ending, undoing; then what is told of keys that were
 * handed over.
 */
export const event = z.discriminatedUnion('type', [
  ledgerEvent('KeyAnnounced', keyAnnounced),
  ledgerEvent('KeyRevoked', keyRevoked),
  ledgerEvent('PolicyAnnounced', policyAnnounced),
  ledgerEvent('KeyEscrowed', escrow.keyEscrowed),
  ledgerEvent('EscrowDrilled', escrow.escrowDrilled),
  ledgerEvent('RecoveryRequested', escrow.recoveryRequested),
  ledgerEvent('RecoveryApproved', escrow.recoveryApproved),
  ledgerEvent('KeyRecovered', escrow.keyRecovered),
  ledgerEvent('AgreementProposed', agreementProposed),
  ledgerEvent('AgreementAccepted', agreementAccepted),
  migrationEvent('MigrationIntended', migrationIntended),
  migrationEvent('MigrationOffered', migrationOffered),
  migrationEvent('MigrationRefused', migrationRefused),
  migrationEvent('OfferAgreed', offerAgreed),
  migrationEvent('KeyDeposited', handover.keyDeposited),
  migrationEvent('DepositAcknowledged', handover.depositAcknowledged),
  migrationEvent('ImageSealed', handover.imageSealed),
  migrationEvent('ImageVerified', handover.imageVerified),
  migrationEvent('TargetReady', handover.targetReady),
  migrationEvent('SourceQuiesced', handover.sourceQuiesced),
  migrationEvent('KeyReleased', handover.keyReleased),
  migrationEvent('KeyImported', handover.keyImported),
  migrationEvent('StartAuthorized', handover.startAuthorized),
  migrationEvent('VmStarted', handover.vmStarted),
  migrationEvent('VmHealthy', handover.vmHealthy),
  migrationEvent('VolumeRekeyed', handover.volumeRekeyed),
  migrationEvent('MigrationFinalized', handover.migrationFinalized),
  migrationEvent('SourceRetired', handover.sourceRetired),
  migrationEvent('MigrationWithdrawn', handover.migrationWithdrawn),
  migrationEvent('MigrationRelinquished', handover.migrationRelinquished),
  migrationEvent('SourceResumed', handover.sourceResumed),
  migrationEvent('BreakGlassResumed', breakGlassResumed),
  migrationEvent('CopyFenced', copyFenced),
  migrationEvent('CopyDiscarded', copyDiscarded),
  ledgerEvent('KeyStateChanged', keyStateChanged),
]);
export type Event = z.infer<typeof event>;
export type EventType = Event['type'];
export type EventOf<T extends EventType> = Extract<Event, { readonly type: T }>;
export type MigrationEvent = Extract<Event, { readonly migration: unknown }>;
export type EventData<T extends EventType> = EventOf<T>['data'];

/**
 * What can be read of an event whose own schema refuses it. Admission needs no more to *place* it; the rest makes it void,
 * for everyone equally.
 */
export const placement = z
  .object({
    ...common,
    type: z.string().max(64),
    migration: migrationId.optional(),
    epoch: epoch.optional(),
  })
  .readonly();
export type Placement = z.infer<typeof placement>;

/** An event as its publisher drafts it: the journal adds id, publisher, audience, seq, prev and time under the ledger's head lock. */
export type Draft<E extends Event = Event> = E extends Event
  ? Omit<E, 'id' | 'v' | 'publisher' | 'audience' | 'seq' | 'prev' | 'time'>
  : never;

export const isMigrationEvent = (e: Event): e is MigrationEvent => 'migration' in e;
