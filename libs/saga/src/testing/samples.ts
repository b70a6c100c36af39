import {
  artifactId,
  type Digest,
  digest,
  type EventData,
  epoch,
  hostName,
  keyId,
  type MigrationId,
  type MigrationMode,
  migrationId,
  type PolicyDecision,
  type RekeyMethod,
  type SignedEvidence,
  spiffeId,
  timestamp,
  trustDomain,
  type VmSpec,
  vmId,
} from '@carnet/events';
import { shift } from '../time.ts';

/** Plausible, schema-valid data for tests of whoever needs a journey. Nothing here is secret, signed or true. */
export const CSP_A = trustDomain.parse('csp-a.example');
export const CSP_B = trustDomain.parse('csp-b.example');
export const CSP_C = trustDomain.parse('csp-c.example');
export const VM = vmId.parse('csp-a.example/1b4e28ba-2fa1-41d2-883f-0016d3cca427');
export const START = timestamp.parse('2026-11-23T10:00:00.000Z');
export const FIRST_EPOCH = epoch.parse(1);

export const DISK = artifactId.parse('2b4e28ba-2fa1-41d2-883f-0016d3cca427');
export const MEMORY = artifactId.parse('3b4e28ba-2fa1-41d2-883f-0016d3cca427');
export const DISK_KEY = keyId.parse('4b4e28ba-2fa1-41d2-883f-0016d3cca427');
/** What the target puts in place of the disk's key. */
export const NEW_DISK_KEY = keyId.parse('6b4e28ba-2fa1-41d2-883f-0016d3cca427');
export const MEMORY_KEY = keyId.parse('5b4e28ba-2fa1-41d2-883f-0016d3cca427');

/** How long a sample intent may take, in milliseconds. */
export const SAMPLE_DEADLINE_MS = 3_600_000;
export const SAMPLE_OFFER_MS = 600_000;

/** A digest that is one hexadecimal digit throughout, for facts that tests do not follow. */
export const digestOf = (digit: string): Digest => digest.parse(digit.repeat(64));

/** The n-th sample migration. */
export const migration = (n: number): MigrationId =>
  migrationId.parse(`0197${n.toString(16).padStart(4, '0')}-0000-7000-8000-000000000000`);

export const EVIDENCE: SignedEvidence = {
  payloadType: 'application/vnd.carnet.evidence.v1+json',
  payload: 'e30=',
  signatures: [{ keyid: 'agent', sig: 'AA==' }],
};

export const SPEC: VmSpec = {
  name: 'tiny',
  vcpus: 1,
  memoryMiB: 256,
  machine: 'pc-q35-7.2',
  cpuModel: 'qemu64',
  boot: { kind: 'disk' },
  disks: [{ artifact: DISK, target: 'vda', format: 'qcow2', capacityBytes: 268_435_456, key: DISK_KEY }],
};

const allowed: PolicyDecision = {
  allowed: true,
  policySet: digestOf('9'),
  version: 1,
  schema: digestOf('8'),
  entities: digestOf('7'),
  engine: 'cedar 4.13.0',
  asked: {
    action: 'send',
    principal: `spiffe://${CSP_A}/operator`,
    vm: VM,
    source: CSP_A,
    target: CSP_B,
    mode: 'cold',
    time: START,
    open: { migrations: 0, memoryMiB: 0, diskBytes: 0 },
    approvers: [],
  },
  request: digestOf('6'),
  determining: ['all'],
  reasons: [{ code: 'ALLOWED', text: 'policies all' }],
};

export const intentData = (
  mode: MigrationMode,
  source = CSP_A,
  target = CSP_B,
  at = START,
  rekey?: RekeyMethod,
): EventData<'MigrationIntended'> => ({
  vm: VM,
  source,
  target,
  mode,
  ...(rekey === undefined ? {} : { rekey }),
  spec: SPEC,
  request: { via: 'mtls', principal: `spiffe://${source}/operator`, digest: digestOf('8') },
  policy: allowed,
  offerBy: shift(at, SAMPLE_OFFER_MS),
  deadline: shift(at, SAMPLE_DEADLINE_MS),
});

export const agent = (host: string) => ({ host: hostName.parse(host), chain: ['AA=='] }) as const;
export const POLICY_ALLOWED = allowed;

const word = {
  payloadType: 'application/vnd.carnet.break-glass.v1+json',
  payload: 'e30=',
  signatures: [{ keyid: 'k', sig: 'AA==' }],
};

/** The words of two persons and an owner: the fold leaves them to brokers and auditors. */
export const breakGlassData = (release: Digest, opens: number): EventData<'BreakGlassResumed'> => ({
  release,
  opens: epoch.parse(opens),
  persons: ['anna', 'ben'].map((name) => ({
    principal: spiffeId.parse(`spiffe://${CSP_A}/operator/${name}`),
    envelope: word,
    certificate: 'AA==',
  })),
  owner: word,
});
