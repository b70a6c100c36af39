import {
  artifactId,
  type EventData,
  type Evidence,
  type EvidenceKind,
  epoch,
  keyId,
  type PolicyDecision,
  type PolicyQuestion,
  type RekeyMethod,
  type Timestamp,
  unreachable,
  type VmSpec,
} from '@carnet/events';
import { decideMove, type Move, questionAbout } from '@carnet/policy';
import { type Command, type CommandOf, epochAfter, type MigrationState, type Proposal } from '@carnet/saga';
import { sha256Hex } from '@carnet/trust';
import { ENTITIES, setOf, user } from '../../../../libs/policy/src/testing.ts';
import { agentOf, CSP_A, type Federation, testimony, timeAt } from './federation.ts';

const HOUR_MS = 3_600_000;
export const DISK = artifactId.parse('2b4e28ba-2fa1-41d2-883f-0016d3cca427');
export const DISK_KEY = keyId.parse('4b4e28ba-2fa1-41d2-883f-0016d3cca427');
export const NEW_DISK_KEY = keyId.parse('6b4e28ba-2fa1-41d2-883f-0016d3cca427');
export const SPEC: VmSpec = {
  name: 'tiny',
  vcpus: 1,
  memoryMiB: 256,
  machine: 'pc-q35-7.2',
  cpuModel: 'qemu64',
  boot: { kind: 'disk' },
  disks: [{ artifact: DISK, target: 'vda', format: 'qcow2', capacityBytes: 268_435_456, key: DISK_KEY }],
};
const some = (word: string) => sha256Hex(Buffer.from(word));
/** Operators of the source, who sign when a glass is broken. */
export const PEOPLE = ['anna', 'ben'] as const;
export const operatorOf = (name: string): string => `spiffe://${CSP_A}/operator/${name}`;
/** By these both sides decide: whoever asks may. */
export const RULES = setOf('@id("all") permit (principal, action, resource);', {
  entities: [...ENTITIES, ...PEOPLE.map((name) => user(operatorOf(name), ['operator']))],
});
export function decided(intent: Move, action: PolicyQuestion['action'], time: Timestamp): PolicyDecision {
  const open = { migrations: 0, memoryMiB: 0, diskBytes: 0 };
  const facts = { action, time, open, ...(action === 'receive' ? { hostLevel: 0 } : {}) };
  return decideMove(RULES, questionAbout(intent, facts), intent);
}
const later = (now: Timestamp): Timestamp => timeAt(Date.parse(now) + HOUR_MS);

/** A CSP for which everything works at once, in mode cold, with hosts that testify. */
export function performed(federation: Federation, command: Command, m: MigrationState, now: Timestamp): Proposal {
  const { migration } = command;
  const word = (side: 'source' | 'target', kind: Parameters<typeof testimony>[3], changed: Partial<Evidence> = {}) =>
    testimony(federation, m, side, kind, now, kind === 'destroyed' ? { facts: DESTROYED_FACTS } : changed);
  const { rekey } = command.facts.MigrationIntended.data;
  switch (command.type) {
    case 'AnswerIntent':
      return {
        type: 'MigrationOffered',
        migration,
        data: {
          intent: command.facts.MigrationIntended.digest,
          policy: decided({ ...command.facts.MigrationIntended.data, epoch: m.epoch }, 'receive', now),
          agent: agentOf(federation, m.target),
          kem: '0x647a',
          publicKey: 'AA==',
          until: later(now),
          ...(rekey === undefined ? {} : { rekey }),
        },
      };
    case 'AgreeOffer':
      return {
        type: 'OfferAgreed',
        migration,
        data: {
          offer: command.facts.MigrationOffered.digest,
          agent: agentOf(federation, m.source),
          dataPath: { address: '127.0.0.1', port: 8443, serverName: 'host-1' },
        },
      };
    case 'DepositKeys':
      return { type: 'KeyDeposited', migration, data: deposit(command, now) };
    case 'QuiesceVm':
      return {
        type: 'SourceQuiesced',
        migration,
        data: { ready: command.facts.TargetReady.digest, evidence: word('source', 'stopped') },
      };
    case 'SealImage':
      return {
        type: 'ImageSealed',
        migration,
        data: {
          round: 0,
          final: true,
          artifacts: [{ artifact: DISK, kind: 'disk', sizeBytes: 4_096, chunkBytes: 4_096, root: some('root') }],
        },
      };
    case 'ReleaseKeys':
      return { type: 'KeyReleased', migration, data: release(command) };
    case 'RetireSource':
      return {
        type: 'SourceRetired',
        migration,
        data: {
          finalized: command.facts.MigrationFinalized.digest,
          receipt: { ...RECEIPT, evidence: word('source', 'destroyed') },
        },
      };
    case 'ResumeVm':
      return { type: 'Resume', migration, ran: true, evidence: word('source', 'resumed', { epoch: epoch.parse(epochAfter(m)) }) };
    case 'Withdraw':
      return { type: 'Withdraw', migration, reason: command.reason };
    case 'Relinquish':
      return {
        type: 'Relinquish',
        migration,
        reason: command.reason,
        receipt: { ...RECEIPT, evidence: word('target', 'destroyed') },
        never: word('target', 'never'),
      };
    default:
      return performedByTarget(federation, command, m, now);
  }
}

const rekeyWord = (method: RekeyMethod): EvidenceKind => (method === 'full-online' ? 'reencrypted' : 'rekeyed');

type ByTarget = CommandOf<
  | 'AcknowledgeDeposit'
  | 'ReadyTarget'
  | 'ReceiveImage'
  | 'ImportKeys'
  | 'ReplaceKeys'
  | 'AuthorizeStart'
  | 'StartVm'
  | 'ObserveHealth'
  | 'RekeyVolumes'
  | 'ReencryptVolumes'
  | 'Finalize'
  | 'FenceCopy'
>;

function performedByTarget(federation: Federation, command: ByTarget, m: MigrationState, now: Timestamp): Proposal {
  const { migration } = command;
  switch (command.type) {
    case 'AcknowledgeDeposit':
      return {
        type: 'DepositAcknowledged',
        migration,
        data: { deposit: command.facts.KeyDeposited.digest, macs: [{ key: DISK_KEY, mac: some('mac') }] },
      };
    case 'ReadyTarget':
      return {
        type: 'TargetReady',
        migration,
        data: {
          agreed: command.facts.OfferAgreed.digest,
          acknowledged: command.facts.DepositAcknowledged.digest,
          until: later(now),
        },
      };
    case 'ReceiveImage':
      return {
        type: 'ImageVerified',
        migration,
        data: { sealed: command.facts.ImageSealed.digest, round: 0, roots: [{ artifact: DISK, root: some('root') }] },
      };
    case 'ImportKeys':
      return {
        type: 'KeyImported',
        migration,
        data: {
          release: command.facts.KeyReleased.digest,
          keys: [{ key: DISK_KEY, version: 1, artifact: DISK }],
          destroyedPublicKey: some('pk'),
        },
      };
    case 'ReplaceKeys':
    case 'ReencryptVolumes':
      return {
        type: 'VolumeRekeyed',
        migration,
        data: {
          method: command.method,
          imported: command.facts.KeyImported.digest,
          volumes: [
            {
              artifact: DISK,
              from: { key: DISK_KEY, version: 1, headerDigest: some('header') },
              to: { key: NEW_DISK_KEY, version: 1, headerDigest: some('own header') },
            },
          ],
          evidence: testimony(federation, m, 'target', rekeyWord(command.method), now, { facts: rekeyedFacts(command.method) }),
        },
      };
    case 'AuthorizeStart':
      return {
        type: 'StartAuthorized',
        migration,
        data: {
          imported: command.facts.KeyImported.digest,
          host: command.facts.MigrationOffered.data.agent.host,
          startVcpus: true,
        },
      };
    case 'StartVm':
      return {
        type: 'VmStarted',
        migration,
        data: { authorized: command.facts.StartAuthorized.digest, evidence: testimony(federation, m, 'target', 'started', now) },
      };
    case 'FenceCopy':
      return {
        type: 'CopyFenced',
        migration,
        data: {
          breakGlass: command.facts.BreakGlassResumed.digest,
          evidence: testimony(federation, m, 'target', 'surrendered', now),
        },
      };
    case 'ObserveHealth':
      return {
        type: 'VmHealthy',
        migration,
        data: { started: command.facts.VmStarted.digest, evidence: testimony(federation, m, 'target', 'healthy', now) },
      };
    case 'RekeyVolumes':
      return { type: 'VolumeRekeyed', migration, data: { method: command.method, artifacts: [DISK] } };
    case 'Finalize':
      return { type: 'MigrationFinalized', migration, data: { healthy: command.facts.VmHealthy.digest, cause: 'accepted' } };
    default:
      return unreachable(command);
  }
}

export const rekeyedFacts = (method: string) => ({
  method,
  volumes: 1,
  artifact0: DISK,
  before0: some('header'),
  after0: some('own header'),
});

/** What the agent's word about this receipt says. */
export const DESTROYED_FACTS = { artifact0: DISK, fate0: 'header-overwritten', header0: some('header') } as const;
export const RECEIPT = {
  keys: [DISK_KEY],
  artifacts: [DISK],
  method: 'cryptographic-erase',
  keyFates: [{ key: DISK_KEY, version: 1, state: 'destroyed' }],
  artifactFates: [{ artifact: DISK, fate: 'header-overwritten', headerDigest: some('header') }],
  cannotProve: 'copies made before',
} as const;

const deposit = (c: CommandOf<'DepositKeys'>, now: Timestamp): EventData<'KeyDeposited'> => ({
  offer: c.facts.MigrationOffered.digest,
  agreed: c.facts.OfferAgreed.digest,
  commit: some('commit'),
  notAfter: later(now),
  keys: [
    {
      key: DISK_KEY,
      version: 1,
      artifact: DISK,
      kind: 'disk',
      derivation: 'luks-passphrase-hex',
      capacityBytes: 268_435_456,
      enc: 'AA==',
      ct: 'AA==',
    },
  ],
});

const release = ({ facts }: CommandOf<'ReleaseKeys'>): EventData<'KeyReleased'> => ({
  ready: facts.TargetReady.digest,
  sealed: facts.ImageSealed.digest,
  verified: facts.ImageVerified.digest,
  deposit: facts.KeyDeposited.digest,
  acknowledged: facts.DepositAcknowledged.digest,
  roots: facts.ImageVerified.data.roots,
  enc: 'AA==',
  ct: 'AA==',
});
