import {
  agreementTerms,
  digest,
  event,
  intentRequest,
  keyId,
  migrationId,
  timestamp,
  trustDomain,
  vmId,
  vmSpec,
} from '@carnet/events';
import type { ServiceResult } from '../../service/result.ts';
import type { BrokerService, LedgerEntry, MigrationDetail, VmRow } from '../../service/service.ts';
import { fakeDiagnosis } from './fake-diagnosis.ts';
import { fakeEscrow } from './fake-escrow.ts';
import { configuredPeer, fakePeering, fakeProof } from './fake-peering.ts';

export const AT = timestamp.parse('2026-11-23T12:00:00.000Z');
export const MIGRATION = migrationId.parse('01936ad4-0000-7000-8000-000000000001');
export const VM = vmId.parse('csp-a.example/11111111-1111-4111-8111-111111111111');
export const KEY = keyId.parse('22222222-2222-4222-8222-222222222222');
export const DIGEST = digest.parse('ab'.repeat(32));

export type Entry = LedgerEntry & { readonly cursor: string };
export const entry = (n: number): Entry => ({
  cursor: `${n}.0`,
  digest: digest.parse(n.toString(16).padStart(64, '0')),
  publisher: 'csp-a.example',
  audience: 'csp-b.example',
  seq: String(n),
  type: 'KeyRevoked',
  time: AT,
  state: 'published',
  event: event.parse({
    id: `01936ad4-0000-7000-8000-${n.toString(16).padStart(12, '0')}`,
    v: 1,
    publisher: 'csp-a.example',
    audience: 'csp-b.example',
    seq: String(n),
    prev: DIGEST,
    causes: [],
    time: AT,
    type: 'KeyRevoked',
    data: { keyid: DIGEST, lastSeq: '1', reason: { code: 'ROTATED', text: 'n' }, chain: ['AAAA'], signature: 'AAAA' },
  }),
  envelope: 'AAAA',
});

const detail: MigrationDetail = {
  migration: MIGRATION,
  vm: VM,
  epoch: 1,
  source: trustDomain.parse('csp-a.example'),
  target: trustDomain.parse('csp-b.example'),
  mode: 'cold',
  memoryMiB: 64,
  diskBytes: 1_048_576,
  phase: 'moving',
  sourcePhase: 'agreed',
  targetPhase: 'offered',
  ended: false,
  outcome: 'open',
  startedAt: AT,
  updatedAt: AT,
  reasons: [],
  rekey: { demanded: 'none', agreed: 'none', volumes: [] },
  receipts: [],
  owed: [{ command: 'DepositKeys' }],
  custody: [{ at: AT, domains: ['csp-a.example'] }],
};
const vmRow: VmRow = {
  vm: VM,
  name: 'one',
  host: 'host-1',
  state: 'running',
  epoch: 0,
  spec: vmSpec.parse({
    name: 'one',
    vcpus: 1,
    memoryMiB: 64,
    machine: 'pc-q35-7.2',
    cpuModel: 'qemu64',
    boot: { kind: 'disk' },
    disks: [{ artifact: KEY, target: 'vda', format: 'qcow2', capacityBytes: 1_048_576, key: KEY }],
  }),
};
const keyRow = {
  key: KEY,
  version: 1,
  arrival: 0,
  current: true,
  project: 'default',
  kind: 'disk',
  state: 'active',
  origin: 'created',
  artifact: KEY,
  consumers: [`vm:${VM}`],
  capacityBytes: 1,
  algorithm: 'LUKS key slot, 256 bit',
  derivation: 'luks-passphrase-hex',
  createdAt: AT,
  changedAt: AT,
  provenance: [],
  reportedCompromisedBy: [],
};
const apiKey = {
  id: 'ab'.repeat(8),
  name: 'nightly',
  principal: 'api-key/nightly',
  roles: ['scheduler' as const],
  state: 'active' as const,
  createdAt: AT,
  createdBy: 'spiffe://csp-a.example/administrator',
  expiresAt: AT,
};
const use = {
  n: 1,
  at: AT,
  key: KEY,
  operation: 'run',
  principal: 'operator',
  reason: 'VM_START',
  vm: VM,
  host: 'host-1',
  digest: DIGEST,
};
const rotation = { project: 'default', version: 2, deks: 1, secrets: 0, outside: 0, left: 0, done: true, destroyed: [1] };
const keyDetail = {
  ...keyRow,
  history: [{ arrival: 0, state: 'active', at: AT, actor: 'spiffe://csp-a.example/broker', reason: 'made', digest: DIGEST }],
  historyChain: 'intact' as const,
  holdings: [{ arrival: 0, state: 'active', origin: 'generated', createdAt: AT, changedAt: AT }],
  shared: [],
  reports: [],
};
const image = { name: 'tiny', digest: DIGEST, sizeBytes: 1, capacityBytes: 2, createdAt: AT };

const ok = async <T>(value: T): Promise<ServiceResult<T>> => ({ ok: true, value });

export interface FakeService {
  readonly service: BrokerService;
  /** Names of the methods that were called, and with what. */
  readonly calls: [name: string, ...args: readonly unknown[]][];
  /** Entries that stand in the ledgers; `place` adds one and tells followers. */
  readonly place: (n: number) => void;
}

/** A broker that answers everything with one sample of each row, as the schemas have it. */
const agreementProposal = {
  terms: agreementTerms.parse({
    version: 1,
    modes: ['cold'],
    algorithms: ['x25519-ml-kem-768'],
    retentionDays: 365,
    jurisdictions: ['DE'],
    rollbackWindowSecondsMax: 300,
    notBefore: '2026-01-01T00:00:00.000Z',
    notAfter: '2027-01-01T00:00:00.000Z',
  }),
  proposer: trustDomain.parse('csp-b.example'),
  proposal: DIGEST,
};

export function fakeService(overrides: Partial<BrokerService> = {}): FakeService {
  const calls: FakeService['calls'] = [];
  const entries: Entry[] = [entry(1), entry(2)];
  const listeners = new Set<() => void>();
  const noted =
    <A extends readonly unknown[], R>(name: string, answer: (...args: A) => R) =>
    (...args: A): R => {
      calls.push([name, ...args]);
      return answer(...args);
    };
  const service: BrokerService = {
    domain: 'csp-a.example',
    escrow: fakeEscrow({ key: KEY, vm: VM, digest: DIGEST, at: AT }),
    intend: noted('intend', () => ok({ migration: MIGRATION, digest: DIGEST, repeated: false })),
    intendSigned: noted('intendSigned', () => ok({ migration: MIGRATION, digest: DIGEST, repeated: false })),
    plan: noted('plan', () =>
      ok({
        vm: VM,
        source: 'csp-a.example',
        target: 'csp-b.example',
        mode: 'cold',
        epoch: 1,
        policy: { source: { allowed: true, reasons: [] }, target: 'asked when the migration starts' as const },
        bytes: 1,
        stopSeconds: 2,
        basis: {
          state: 'running' as const,
          diskBytes: 1,
          diskBytesFrom: 'host' as const,
          memoryBytes: 0,
          rate: { basis: 'assumed' as const, bytesPerSecond: 1, aroundSeconds: 1, moves: 0, largestBytes: 0 },
        },
        warnings: [],
        steps: [{ side: 'source' as const, step: 'a', undo: 'b' }],
      }),
    ),
    approve: noted('approve', () => ok({ migration: MIGRATION, digest: DIGEST, repeated: false })),
    requests: noted('requests', async () => [
      {
        migration: MIGRATION,
        request: intentRequest.parse({ migration: MIGRATION, vm: VM, target: 'csp-b.example', mode: 'cold' }),
        principal: 'scheduler',
        approvedBy: [],
        askedAt: AT,
      },
    ]),
    policySets: noted('policySets', async () => [
      { version: 1, policySet: DIGEST, schema: DIGEST, entities: DIGEST, engine: 'cedar 4.13.0', since: AT, current: true },
    ]),
    currentPolicy: noted('currentPolicy', () => ({
      csp: 'csp-a.example',
      version: 1,
      policySet: DIGEST,
      engine: 'cedar 4.13.0',
      policies: [
        { id: 'all', effect: 'permit' as const, annotations: { id: 'all' }, text: 'permit (principal, action, resource);' },
      ],
      files: { 'set.json': '{"version":1}' },
    })),
    cancel: noted('cancel', () => ok({ digest: DIGEST })),
    breakGlass: noted('breakGlass', () => ok({ digest: DIGEST })),
    discardCopy: noted('discardCopy', () => ok({ digest: DIGEST })),
    migrations: noted('migrations', async () => {
      const { owed: _owed, custody: _custody, rekey: _rekey, receipts: _receipts, ...row } = detail;
      return [row];
    }),
    migration: noted('migration', () => ok(detail)),
    diagnosis: noted('diagnosis', () => ok(fakeDiagnosis(MIGRATION, VM, AT))),
    alarms: noted('alarms', async () => []),
    events: noted('events', async ({ after, digest: wanted, limit }) => {
      if (wanted !== undefined) return entries.filter((one) => one.digest === wanted);
      const from = Number((after ?? '').split('.')[0] ?? 0);
      return entries.filter((one) => Number(one.seq) > from).slice(0, limit);
    }),
    onChange: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    keys: noted('keys', async () => [keyRow]),
    key: noted('key', () => ok(keyDetail)),
    changeKey: noted('changeKey', () => ok(keyDetail)),
    addKeyConsumer: noted('addKeyConsumer', () => ok(keyDetail)),
    removeKeyConsumer: noted('removeKeyConsumer', () => ok(keyDetail)),
    rotateProject: noted('rotateProject', () => ok(rotation)),
    keyUses: noted('keyUses', () => ok([use])),
    verifyKeyUses: noted('verifyKeyUses', async () => ({ intact: true, uses: 1, head: DIGEST })),
    checkpoints: noted('checkpoints', async () => [
      { publisher: 'csp-a.example', audience: 'csp-b.example', size: 3, note: 'a note' },
    ]),
    proofAgainst: noted('proofAgainst', () => ok(fakeProof)),
    peers: noted('peers', async () => [configuredPeer]),
    endEventKey: noted('endEventKey', () => ok({ key: DIGEST })),
    peering: fakePeering(noted),
    agreements: {
      with: noted('agreements.with', () => ok({ open: [] })),
      propose: noted('agreements.propose', () => ok(agreementProposal)),
      accept: noted('agreements.accept', () => ok({ open: [] })),
    },
    certificates: noted('certificates', async () => [
      { kind: 'root' as const, name: DIGEST, serial: 'ab', notBefore: AT, notAfter: AT, daysLeft: 0, standing: 'good' },
    ]),
    hosts: noted('hosts', async () => [{ name: 'host-1', state: 'up' as const, vms: 1, memoryMiB: 2, freeDiskBytes: 3 }]),
    images: noted('images', async () => [image]),
    registerImage: noted('registerImage', () => ok(image)),
    verifyImage: noted('verifyImage', () => ok({ name: 'tiny', digest: DIGEST, verified: true })),
    vms: noted('vms', async () => [vmRow]),
    createVm: noted('createVm', () => ok(vmRow)),
    setVmPower: noted('setVmPower', () => ok(vmRow)),
    restrictVm: noted('restrictVm', () => ok(vmRow)),
    deleteVm: noted('deleteVm', () => ok({ vm: VM })),
    apiKeys: noted('apiKeys', async () => [apiKey]),
    createApiKey: noted('createApiKey', () => ok({ ...apiKey, apiKey: 'carnet_…' })),
    revokeApiKey: noted('revokeApiKey', () => ok({ ...apiKey, state: 'revoked' as const, revokedAt: AT })),
    exportLedgers: async function* () {
      yield '{"carnet":"ledger-export"}';
      yield '{"carnet":"end-of-export"}';
    },
    ...overrides,
  };
  return {
    service,
    calls,
    place: (n) => {
      entries.push(entry(n));
      for (const listener of listeners) listener();
    },
  };
}
