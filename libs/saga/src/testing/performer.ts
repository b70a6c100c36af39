import { type EventData, type Timestamp, unreachable } from '@carnet/events';
import type { Command, CommandOf } from '../command.ts';
import type { Proposal } from '../decide.ts';
import { shift } from '../time.ts';
import {
  agent,
  DISK,
  DISK_KEY,
  digestOf,
  EVIDENCE,
  MEMORY,
  MEMORY_KEY,
  NEW_DISK_KEY,
  POLICY_ALLOWED,
  SAMPLE_DEADLINE_MS,
} from './samples.ts';

/** A performer for which everything works at once: what it would propose after performing the command. */
export function performed(command: Command, now: Timestamp): Proposal {
  const { migration, facts } = command;
  const intent = facts.MigrationIntended.digest;
  switch (command.type) {
    case 'AnswerIntent':
      return { type: 'MigrationOffered', migration, data: offer(command, now) };
    case 'AgreeOffer':
      return {
        type: 'OfferAgreed',
        migration,
        data: {
          offer: command.facts.MigrationOffered.digest,
          agent: agent('host-1'),
          dataPath: { address: '127.0.0.1', port: 8443, serverName: 'host-1' },
        },
      };
    case 'DepositKeys':
      return { type: 'KeyDeposited', migration, data: deposit(command) };
    case 'QuiesceVm':
      return { type: 'SourceQuiesced', migration, data: { ready: command.facts.TargetReady.digest, evidence: EVIDENCE } };
    case 'SealImage':
      return { type: 'ImageSealed', migration, data: seal(command) };
    case 'ReleaseKeys':
      return { type: 'KeyReleased', migration, data: release(command) };
    case 'RetireSource':
      return { type: 'SourceRetired', migration, data: { finalized: command.facts.MigrationFinalized.digest, receipt: RECEIPT } };
    case 'ResumeVm':
      return { type: 'Resume', migration, ran: true, evidence: EVIDENCE };
    case 'Withdraw':
      return { type: 'Withdraw', migration, reason: command.reason };
    case 'Relinquish':
      return {
        type: 'MigrationRelinquished',
        migration,
        data: { intent, reason: command.reason, receipt: RECEIPT, never: EVIDENCE },
      };
    default:
      return performedByTarget(command, now);
  }
}

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

function performedByTarget(command: ByTarget, now: Timestamp): Proposal {
  const { migration } = command;
  switch (command.type) {
    case 'AcknowledgeDeposit': {
      const { digest: deposit, data } = command.facts.KeyDeposited;
      return {
        type: 'DepositAcknowledged',
        migration,
        data: { deposit, macs: data.keys.map(({ key }) => ({ key, mac: digestOf('7') })) },
      };
    }
    case 'ReadyTarget': {
      const { OfferAgreed: agreed, DepositAcknowledged: acknowledged } = command.facts;
      const until = shift(now, SAMPLE_DEADLINE_MS / 2);
      return { type: 'TargetReady', migration, data: { agreed: agreed.digest, acknowledged: acknowledged.digest, until } };
    }
    case 'ReceiveImage': {
      const { digest: sealed, data } = command.facts.ImageSealed;
      const roots = data.artifacts.map(({ artifact, root }) => ({ artifact, root }));
      return { type: 'ImageVerified', migration, data: { sealed, round: data.round, roots } };
    }
    case 'ImportKeys': {
      const keys = command.facts.KeyDeposited.data.keys.map(({ key, version, artifact }) => ({ key, version, artifact }));
      return {
        type: 'KeyImported',
        migration,
        data: { release: command.facts.KeyReleased.digest, keys, destroyedPublicKey: digestOf('6') },
      };
    }
    case 'ReplaceKeys':
    case 'ReencryptVolumes':
      return { type: 'VolumeRekeyed', migration, data: replaced(command) };
    case 'AuthorizeStart': {
      const { KeyImported: imported, MigrationOffered: offered } = command.facts;
      return {
        type: 'StartAuthorized',
        migration,
        data: { imported: imported.digest, host: offered.data.agent.host, startVcpus: true },
      };
    }
    case 'StartVm':
      return { type: 'VmStarted', migration, data: { authorized: command.facts.StartAuthorized.digest, evidence: EVIDENCE } };
    case 'ObserveHealth':
      return { type: 'VmHealthy', migration, data: { started: command.facts.VmStarted.digest, evidence: EVIDENCE } };
    case 'RekeyVolumes':
      return { type: 'VolumeRekeyed', migration, data: { method: command.method, artifacts: [DISK] } };
    case 'FenceCopy':
      return {
        type: 'CopyFenced',
        migration,
        data: { breakGlass: command.facts.BreakGlassResumed.digest, evidence: EVIDENCE },
      };
    case 'Finalize':
      return { type: 'MigrationFinalized', migration, data: { healthy: command.facts.VmHealthy.digest, cause: 'window' } };
    default:
      return unreachable(command);
  }
}

export const RECEIPT = {
  keys: [DISK_KEY],
  artifacts: [DISK],
  method: 'cryptographic-erase',
  cannotProve: 'copies made before',
} as const;

const offer = (c: CommandOf<'AnswerIntent'>, now: Timestamp): EventData<'MigrationOffered'> => ({
  intent: c.facts.MigrationIntended.digest,
  policy: POLICY_ALLOWED,
  agent: agent('host-1'),
  kem: '0x647a',
  publicKey: 'AA==',
  until: shift(now, SAMPLE_DEADLINE_MS / 2),
  ...(c.facts.MigrationIntended.data.rekey && { rekey: c.facts.MigrationIntended.data.rekey }),
});

const replaced = ({ method, facts }: CommandOf<'ReplaceKeys' | 'ReencryptVolumes'>): EventData<'VolumeRekeyed'> => ({
  method,
  imported: facts.KeyImported.digest,
  volumes: facts.KeyDeposited.data.keys
    .filter(({ kind }) => kind === 'disk')
    .map(({ artifact, key, version }) => ({
      artifact,
      from: { key, version, headerDigest: digestOf('3') },
      to: { key: NEW_DISK_KEY, version: 1, headerDigest: digestOf('4') },
    })),
  evidence: EVIDENCE,
});

function deposit(c: CommandOf<'DepositKeys'>): EventData<'KeyDeposited'> {
  const common = { version: 1, capacityBytes: 268_435_456, enc: 'AA==', ct: 'AA==' };
  const disk = { ...common, key: DISK_KEY, artifact: DISK, kind: 'disk', derivation: 'luks-passphrase-hex' } as const;
  const memory = { ...common, key: MEMORY_KEY, artifact: MEMORY, kind: 'memory', derivation: 'aes-256-gcm-stream' } as const;
  return {
    offer: c.facts.MigrationOffered.digest,
    agreed: c.facts.OfferAgreed.digest,
    commit: digestOf('5'),
    notAfter: c.facts.MigrationIntended.data.deadline,
    keys: c.mode === 'suspend' ? [disk, memory] : [disk],
  };
}

const seal = (c: CommandOf<'SealImage'>): EventData<'ImageSealed'> => ({
  round: 0,
  final: true,
  artifacts: c.facts.KeyDeposited.data.keys.map(({ artifact, kind }) => ({
    artifact,
    kind,
    sizeBytes: 4_096,
    chunkBytes: 4_096,
    root: digestOf(kind === 'disk' ? '1' : '2'),
  })),
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
