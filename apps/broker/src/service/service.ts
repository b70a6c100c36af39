import type {
  Digest,
  DsseEnvelope,
  Event,
  IntentRequest,
  KeyChangeReason,
  MigrationId,
  ProofFile,
  Reason,
  RekeyedVolume,
  RekeyMethod,
  RequestRecord,
  Seq,
  Timestamp,
  TrustDomain,
  VmId,
  VmSpec,
} from '@carnet/events';
import type { VmState } from '@carnet/hypervisor';
import type { KeyVerb } from '@carnet/keys';
import type { MigrationRow } from '@carnet/views';
import type { CertificateRow } from '../certificates.ts';
import type { PeeringService } from '../peering/service.ts';
import type { Agreements } from '../peers/agreements.ts';
import type { ApiKeyRequest, ApiKeyRow, NewApiKey } from '../users/api-keys.ts';
import type { Credential } from '../users/credential.ts';
import type { Alarm } from './alarms.ts';
import type { Approval } from './approve.ts';
import type { LastResort } from './break-glass.ts';
import type { DiagnosisRow } from './diagnosis.ts';
import type { EscrowService } from './escrows.ts';
import type { KeyDetail, KeyRow, KeyUseRow, RotationRow, UsesVerdictRow } from './key-rows.ts';
import type { CurrentPolicy, PolicySetRow, RequestRow } from './policy-rows.ts';
import type { Rate } from './predict.ts';
import type { CheckpointRow } from './readings.ts';
import type { Changing, RestrictionChange } from './restrictions.ts';
import type { IntentAccepted, ServiceResult } from './result.ts';

/** One event as it stands in a ledger. */
export interface LedgerEntry {
  readonly digest: Digest;
  readonly publisher: string;
  readonly audience: string;
  readonly seq: string;
  readonly type: string;
  readonly time: Timestamp;
  readonly migration?: string;
  readonly epoch?: number;
  readonly voidCode?: string;
  /** `pending | published | acknowledged` for own events (acknowledged: covered by the peer's signed head), `received` for the peer's. */
  readonly state: 'pending' | 'published' | 'acknowledged' | 'received';
  /** Absent when the schema refuses it. */
  readonly event?: Event;
  /** The DSSE envelope, base64, exactly as it is chained. */
  readonly envelope: string;
}

export interface Progress {
  readonly step: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond: number;
}

export interface CustodyEntry {
  readonly at: Timestamp;
  readonly domains: readonly string[];
}

/** `done`: absent until the target has said it. */
export interface RekeyRow {
  readonly demanded: RekeyMethod;
  readonly agreed: RekeyMethod;
  readonly done?: RekeyMethod;
  /** Each volume's dead key and header, and those that took their place. */
  readonly volumes: readonly RekeyedVolume[];
}

/** Who destroyed what of a migration, how, and what cannot be proven. */
export interface ReceiptRow {
  readonly by: string;
  readonly at: Timestamp;
  readonly method: string;
  readonly keys: readonly { readonly key: string; readonly version?: number; readonly fate?: string }[];
  readonly artifacts: readonly { readonly artifact: string; readonly fate?: string; readonly headerDigest?: string }[];
  readonly cannotProve: string;
  readonly unproven: readonly string[];
  /** Signed by the agent of the host that did it. */
  readonly hasEvidence: boolean;
}

export interface MigrationDetail extends MigrationRow {
  readonly rekey: RekeyRow;
  readonly receipts: readonly ReceiptRow[];
  /** What this side still owes. */
  readonly owed: readonly { readonly command: string; readonly attempt?: number }[];
  readonly custody: readonly CustodyEntry[];
  readonly progress?: Progress;
  /** At the target: ciphertext that travelled, in bytes. */
  readonly transferredBytes?: number;
  readonly lastFailure?: { readonly command: string; readonly code: string; readonly text: string; readonly at: Timestamp };
}

export interface PlanStep {
  readonly side: 'source' | 'target';
  readonly step: string;
  readonly undo: string;
}
/** What a prediction rests on. */
export interface PlanBasis {
  readonly state: ShownState;
  readonly diskBytes: number;
  /** `host`: the files that hold the disks; `capacity`: the disks' sizes, because the host did not answer. */
  readonly diskBytesFrom: 'host' | 'capacity';
  /** The whole memory in mode suspend; pages of zeros do not travel, so mostly less. */
  readonly memoryBytes: number;
  /** Measured on finished moves with this peer, or assumed when there are none. */
  readonly rate: Rate;
}
export interface Plan {
  readonly vm: string;
  readonly source: string;
  readonly target: string;
  readonly mode: string;
  readonly epoch: number;
  readonly policy: {
    readonly source: { readonly allowed: boolean; readonly reasons: readonly Reason[] };
    readonly target: 'asked when the migration starts';
  };
  /** What is to be carried, at most: `basis.diskBytes + basis.memoryBytes`. */
  readonly bytes: number;
  /** How long the guest will stand still: an estimate, which rests on `basis`. 0 when it does not run. */
  readonly stopSeconds: number;
  readonly basis: PlanBasis;
  /** What this side would stumble over, as far as it shows without trying. */
  readonly warnings: readonly Reason[];
  readonly steps: readonly PlanStep[];
}

export interface PeerRow {
  readonly domain: string;
  /** `unconfirmed`: by invitation, and nothing is trusted before people at both sides confirmed. */
  readonly state: 'ready' | 'silent' | 'frozen' | 'quarantined' | 'unconfirmed';
  /** `former`: it is no peer any more, and its ledgers stay. */
  readonly origin: 'configuration' | 'invitation' | 'former';
  /** SHA-256 of the authority that was confirmed for a peer by invitation: no other speaks for it. */
  readonly issuer?: string;
  readonly ownSeq: number;
  readonly acknowledgedSeq: number;
  readonly receivedSeq: number;
  readonly lastHeardAt?: string;
  readonly fingerprint?: string;
  /** `good`, or the code that says why its certificate is not; absent before it introduced itself. */
  readonly certificate?: string;
}

export interface HostRow {
  readonly name: string;
  readonly state: 'up' | 'down';
  readonly lastHeardAt?: string;
  readonly vms: number;
  readonly memoryMiB: number;
  readonly freeDiskBytes: number;
  readonly libvirtVersion?: string;
}

/** libvirt's state of a VM; `unknown` while its host was not heard. */
export type ShownState = Exclude<VmState, 'absent'> | 'unknown';

export interface VmRow {
  readonly vm: VmId;
  readonly name: string;
  readonly host: string;
  readonly state: ShownState;
  readonly epoch: number;
  readonly spec: VmSpec;
}

export interface ImageRow {
  readonly name: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly capacityBytes: number;
  readonly createdAt: string;
}

export interface CreateVmRequest {
  readonly name: string;
  /** Of this CSP, which is its home; absent: `default`. Its keys lie under this project's KEK. */
  readonly project?: string;
  readonly image?: string;
  readonly capacityBytes?: number;
  readonly vcpus: number;
  readonly memoryMiB: number;
  readonly boot: VmSpec['boot'];
  readonly start: boolean;
  /** With a TPM 2.0 of its own. */
  readonly vtpm: boolean;
}

/**
 * What the broker does for people and schedulers. The HTTP door authenticates and authorises (`principal`), then calls
 * these; every door gives the same result and the same refusals.
 */
export interface BrokerService extends LastResort {
  readonly domain: string;
  /** `shown`: what the asker came with; a request that must wait for a second person waits no longer than that is good. */
  readonly intend: (request: IntentRequest, record: RequestRecord, shown: Credential) => Promise<ServiceResult<IntentAccepted>>;
  /** The asker's own signature (its certificate base64 DER) is what counts here, not who carried it. */
  readonly intendSigned: (envelope: DsseEnvelope, certificate: string) => Promise<ServiceResult<IntentAccepted>>;
  /** A second person's yes to a request that waits for it. */
  /** M-of-N escrow of keys. */
  readonly escrow: EscrowService;
  readonly approve: (migration: MigrationId, approval: Approval) => Promise<ServiceResult<IntentAccepted>>;
  readonly requests: () => Promise<readonly RequestRow[]>;
  readonly policySets: () => Promise<readonly PolicySetRow[]>;
  readonly currentPolicy: () => CurrentPolicy;
  readonly plan: (request: IntentRequest, principal: string) => Promise<ServiceResult<Plan>>;
  readonly cancel: (
    migration: MigrationId,
    principal: string,
    text: string,
  ) => Promise<ServiceResult<{ readonly digest: Digest }>>;
  readonly migrations: (filter: {
    readonly open?: boolean;
    readonly vm?: VmId;
    readonly limit: number;
  }) => Promise<readonly MigrationRow[]>;
  readonly migration: (id: MigrationId) => Promise<ServiceResult<MigrationDetail>>;
  readonly diagnosis: (id: MigrationId) => Promise<ServiceResult<DiagnosisRow>>;
  /** Open migrations that somebody should look at: in doubt, or overdue. */
  readonly alarms: () => Promise<readonly Alarm[]>;
  /** `after`: a cursor of an earlier entry; entries asked for by migration or digest have none. */
  readonly events: (filter: {
    readonly migration?: MigrationId;
    readonly digest?: Digest;
    readonly after?: string;
    readonly limit: number;
  }) => Promise<readonly (LedgerEntry & { readonly cursor: string })[]>;
  /** Fires after something new stands in a ledger; readers then call `events` from their cursor. */
  readonly onChange: (listener: () => void) => () => void;
  /** `former`: also the holdings of keys that left and came back. */
  readonly keys: (filter: { readonly former?: boolean }) => Promise<readonly KeyRow[]>;
  readonly key: (id: string) => Promise<ServiceResult<KeyDetail>>;
  /** A signed change of a key's state; whoever ever held the key is told. Safe to repeat. */
  readonly changeKey: (
    id: string,
    verb: KeyVerb,
    change: { readonly reason: string; readonly code: KeyChangeReason },
    principal: string,
  ) => Promise<ServiceResult<KeyDetail>>;
  readonly addKeyConsumer: (id: string, vm: VmId) => Promise<ServiceResult<KeyDetail>>;
  readonly removeKeyConsumer: (id: string, vm: VmId) => Promise<ServiceResult<KeyDetail>>;
  /** One batch; `version` goes on with a rotation that an earlier answer named. */
  readonly rotateProject: (
    project: string,
    rotation: { readonly reason: string; readonly version?: number },
    principal: string,
  ) => Promise<ServiceResult<RotationRow>>;
  readonly keyUses: (id: string) => Promise<ServiceResult<readonly KeyUseRow[]>>;
  readonly verifyKeyUses: () => Promise<UsesVerdictRow>;
  readonly peers: () => Promise<readonly PeerRow[]>;
  readonly proofAgainst: (peer: TrustDomain) => Promise<ServiceResult<ProofFile>>;
  readonly checkpoints: () => Promise<readonly CheckpointRow[]>;
  /** Said to one peer, in the ledger that it reads. */
  readonly endEventKey: (
    peer: TrustDomain,
    ending: { readonly keyid: Digest; readonly lastSeq: Seq; readonly text: string },
  ) => Promise<ServiceResult<{ readonly key: Digest }>>;
  readonly peering: PeeringService;
  readonly agreements: Pick<Agreements, 'with' | 'propose' | 'accept'>;
  readonly certificates: () => Promise<readonly CertificateRow[]>;
  readonly hosts: () => Promise<readonly HostRow[]>;
  readonly images: () => Promise<readonly ImageRow[]>;
  readonly registerImage: (
    image: { readonly name: string; readonly file: string },
    principal: string,
  ) => Promise<ServiceResult<ImageRow>>;
  readonly verifyImage: (
    name: string,
  ) => Promise<ServiceResult<{ readonly name: string; readonly digest: string; readonly verified: boolean }>>;
  readonly vms: () => Promise<readonly VmRow[]>;
  readonly createVm: (request: CreateVmRequest, principal: string) => Promise<ServiceResult<VmRow>>;
  readonly setVmPower: (vm: VmId, power: 'on' | 'off', principal: string) => Promise<ServiceResult<VmRow>>;
  readonly restrictVm: (vm: VmId, change: RestrictionChange, who: Changing) => Promise<ServiceResult<VmRow>>;
  readonly deleteVm: (vm: VmId, principal: string) => Promise<ServiceResult<{ readonly vm: VmId }>>;
  readonly apiKeys: () => Promise<readonly ApiKeyRow[]>;
  readonly createApiKey: (request: ApiKeyRequest, principal: string) => Promise<ServiceResult<NewApiKey>>;
  readonly revokeApiKey: (id: string, principal: string) => Promise<ServiceResult<ApiKeyRow>>;
  /** Both directions of every ledger with one peer (or all), each envelope exactly as chained, oldest first; then both sides' heads. */
  readonly exportLedgers: (peer?: string) => AsyncIterable<string>;
}
