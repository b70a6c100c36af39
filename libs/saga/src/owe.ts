import type { Digest } from '@carnet/events';
import { type CommandType, type EndCode, type EndReason, NEEDS, type Owed } from './command.ts';
import { hasFacts, type MigrationState, peerOf } from './journey.ts';
import type { STEPS } from './steps.ts';

/** Which event a command answers to. Until that event is there, the side waits and owes nothing. */
const ANSWERS_TO = {
  AgreeOffer: 'MigrationOffered',
  DepositKeys: 'OfferAgreed',
  QuiesceVm: 'TargetReady',
  SealImage: 'SourceQuiesced',
  ReleaseKeys: 'ImageVerified',
  RetireSource: 'MigrationFinalized',
  AnswerIntent: 'MigrationIntended',
  AcknowledgeDeposit: 'KeyDeposited',
  ReadyTarget: 'DepositAcknowledged',
  ReceiveImage: 'ImageSealed',
  ImportKeys: 'KeyReleased',
  ReplaceKeys: 'KeyImported',
  AuthorizeStart: 'KeyImported',
  StartVm: 'StartAuthorized',
  ObserveHealth: 'VmStarted',
  RekeyVolumes: 'VmHealthy',
  ReencryptVolumes: 'VmHealthy',
  Finalize: 'VolumeRekeyed',
  FenceCopy: 'BreakGlassResumed',
} as const satisfies Partial<Record<CommandType, keyof typeof STEPS>>;

const SOURCE_COMMANDS: ReadonlySet<CommandType> = new Set([
  'AgreeOffer',
  'DepositKeys',
  'QuiesceVm',
  'SealImage',
  'ReleaseKeys',
  'ResumeVm',
  'RetireSource',
  'Withdraw',
]);

/** The command, once the event that it answers to is there. */
export function owe<C extends keyof typeof ANSWERS_TO>(m: MigrationState, type: C): readonly Owed<C>[] {
  const because = m.facts[ANSWERS_TO[type]];
  return because === undefined ? [] : command(m, type, because.digest);
}

export function command<C extends CommandType>(m: MigrationState, type: C, because: Digest): readonly Owed<C>[] {
  const { facts, id, vm, epoch } = m;
  // Impossible by the steps: each phase was reached through events that cite these. Written down, and nothing is done.
  if (!facts.MigrationIntended || !hasFacts<(typeof NEEDS)[C][number]>(facts, NEEDS[type])) return [];
  const peer = peerOf(m, SOURCE_COMMANDS.has(type) ? 'source' : 'target');
  return [{ type, migration: id, vm, epoch, mode: facts.MigrationIntended.data.mode, peer, because, facts }];
}

const END_TEXTS: Readonly<Record<EndCode, string>> = {
  EXPIRED: 'The time agreed for this migration is over.',
  TARGET_REFUSED: 'The target refused the migration.',
  TARGET_RELINQUISHED: 'The target gave the migration up.',
  SOURCE_WITHDREW: 'The source withdrew the migration.',
  SOURCE_BROKE_GLASS: 'The source took the VM back without an answer.',
};

export const endReason = (code: EndCode): EndReason => ({ code, text: END_TEXTS[code] });
