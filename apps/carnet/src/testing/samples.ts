export const MIGRATION = '01936ad4-0000-7000-8000-000000000001';
export const VM = 'csp-a.example/11111111-1111-4111-8111-111111111111';
export const DIGEST = 'ab'.repeat(32);
const AT = '2026-11-23T12:00:00.000Z';

export const migration = {
  migration: MIGRATION,
  vm: VM,
  epoch: 1,
  source: 'csp-a.example',
  target: 'csp-b.example',
  mode: 'cold',
  phase: 'moving',
  sourcePhase: 'quiesced',
  targetPhase: 'ready',
  ended: false,
  outcome: 'open',
  startedAt: AT,
  updatedAt: AT,
  reasons: [],
};
export const detail = {
  ...migration,
  rekey: {
    demanded: 'none',
    agreed: 'full',
    done: 'full',
    volumes: [
      {
        artifact: '33333333-3333-4333-8333-333333333333',
        from: { key: '22222222-2222-4222-8222-222222222222', version: 1, headerDigest: 'cd'.repeat(32) },
        to: { key: '44444444-4444-4444-8444-444444444444', version: 1, headerDigest: 'ef'.repeat(32) },
      },
    ],
  },
  receipts: [
    {
      by: 'csp-a.example',
      at: AT,
      method: 'cryptographic-erase',
      keys: [{ key: '22222222-2222-4222-8222-222222222222', version: 1, fate: 'destroyed' }],
      artifacts: [
        { artifact: '33333333-3333-4333-8333-333333333333', fate: 'header-overwritten', headerDigest: 'cd'.repeat(32) },
      ],
      cannotProve: 'that no copy was made',
      unproven: ['copies', 'backups'],
      hasEvidence: true,
    },
  ],
  owed: [{ command: 'SealImage' }],
  custody: [{ at: AT, domains: ['csp-a.example'] }],
};
export const ended = (outcome: string, reasons: readonly object[] = []) => ({
  ...detail,
  ended: true,
  outcome,
  reasons,
  phase: 'ended',
});
export const entry = (n: number, more: object = {}) => ({
  cursor: `${n}.0`,
  digest: String(n).padStart(64, '0'),
  publisher: n % 2 === 1 ? 'csp-a.example' : 'csp-b.example',
  audience: n % 2 === 1 ? 'csp-b.example' : 'csp-a.example',
  seq: String(n),
  type: n % 2 === 1 ? 'MigrationIntended' : 'MigrationOffered',
  time: AT,
  migration: MIGRATION,
  epoch: 1,
  state: 'acknowledged',
  event: { n },
  envelope: Buffer.from('{"payload":""}').toString('base64'),
  ...more,
});
export const key = {
  key: '22222222-2222-4222-8222-222222222222',
  version: 1,
  arrival: 2,
  current: true,
  project: 'default',
  kind: 'disk',
  state: 'active',
  origin: 'migrated',
  artifact: '33333333-3333-4333-8333-333333333333',
  consumers: [`vm:${VM}`],
  capacityBytes: 1024,
  algorithm: 'LUKS key slot, 256 bit',
  derivation: 'luks-passphrase-hex',
  kekVersion: 2,
  createdAt: AT,
  changedAt: AT,
  reportedCompromisedBy: [],
  provenance: ['migration x'],
};
export const keyDetail = {
  ...key,
  history: [
    {
      arrival: 2,
      state: 'active',
      at: AT,
      actor: 'spiffe://csp-a.example/broker',
      reason: 'imported, "as is"',
      digest: DIGEST,
    },
  ],
  historyChain: 'intact',
  holdings: [
    { arrival: 2, state: 'active', origin: 'migrated', createdAt: AT, changedAt: AT },
    { arrival: 0, state: 'destroyed', origin: 'generated', createdAt: AT, changedAt: AT },
  ],
  shared: [],
  reports: [],
};
export const keyUse = {
  n: 1,
  at: AT,
  key: key.key,
  operation: 'run',
  principal: 'spiffe://csp-a.example/operator',
  reason: 'VM_START',
  vm: VM,
  host: 'host-1',
  digest: DIGEST,
};
export const peer = {
  domain: 'csp-b.example',
  state: 'ready',
  origin: 'configuration',
  ownSeq: 3,
  acknowledgedSeq: 2,
  receivedSeq: 4,
  lastHeardAt: AT,
  fingerprint: DIGEST,
};
export const invitation = {
  id: '0123456789abcdef',
  domain: 'csp-c.example',
  state: 'open',
  createdBy: 'spiffe://csp-a.example/administrator',
  createdAt: AT,
  expiresAt: AT,
  dataPaths: ['192.0.2.0/24'],
};
export const peering = {
  domain: 'csp-c.example',
  state: 'confirmed-here',
  code: '00000 11111 22222 33333 44444 55555',
  issuer: DIGEST,
  ownIssuer: DIGEST,
  eventKey: DIGEST,
  side: 'joined',
  dataPaths: [],
  startedBy: 'spiffe://csp-a.example/administrator',
  startedAt: AT,
  confirmedBy: 'spiffe://csp-a.example/administrator',
  confirmedAt: AT,
};
export const host = {
  name: 'host-1',
  state: 'up',
  lastHeardAt: AT,
  vms: 1,
  memoryMiB: 2048,
  freeDiskBytes: 1_610_612_736,
  libvirtVersion: '9.0.0',
};
export const image = { name: 'tiny', digest: DIGEST, sizeBytes: 1024, capacityBytes: 2048, createdAt: AT };
export const vm = {
  vm: VM,
  name: 'one',
  host: 'host-1',
  state: 'running',
  epoch: 1,
  spec: {
    vcpus: 1,
    memoryMiB: 64,
    boot: { kind: 'disk' },
    disks: [{ target: 'vda', artifact: key.artifact, capacityBytes: 1_048_576, key: key.key }],
  },
};
export const plan = {
  vm: VM,
  source: 'csp-a.example',
  target: 'csp-b.example',
  mode: 'cold',
  epoch: 2,
  policy: {
    source: { allowed: true, reasons: [{ code: 'ALLOWED', text: 'rule all' }] },
    target: 'asked when the migration starts',
  },
  bytes: 3_145_728,
  stopSeconds: 11.5,
  basis: {
    state: 'running',
    diskBytes: 3_145_728,
    diskBytesFrom: 'host',
    memoryBytes: 0,
    rate: { basis: 'measured', bytesPerSecond: 2_097_152, aroundSeconds: 10, moves: 2, largestBytes: 4_194_304 },
  },
  warnings: [],
  steps: [{ side: 'source', step: 'publish the intent', undo: 'withdraw' }],
};

export const apiKey = {
  id: 'ab'.repeat(8),
  name: 'nightly',
  principal: 'api-key/nightly',
  roles: ['scheduler'],
  state: 'active',
  createdAt: AT,
  createdBy: 'spiffe://csp-a.example/administrator',
  expiresAt: AT,
};
export const request = {
  migration: MIGRATION,
  request: { migration: MIGRATION, vm: VM, target: 'csp-b.example', mode: 'cold' },
  principal: 'spiffe://csp-a.example/scheduler',
  approvedBy: [],
  askedAt: AT,
};
export const policySet = {
  version: 1,
  policySet: DIGEST,
  schema: DIGEST,
  entities: DIGEST,
  engine: 'cedar 4.13.0',
  since: AT,
  current: true,
};
export const policy = {
  csp: 'csp-a.example',
  version: 1,
  policySet: DIGEST,
  engine: 'cedar 4.13.0',
  policies: [
    {
      id: 'cold-only',
      effect: 'permit',
      annotations: { id: 'cold-only' },
      text: '@id("cold-only")\npermit (principal, action, resource);',
    },
  ],
  files: {},
};

export const certificate = {
  kind: 'peer-issuer',
  name: 'csp-b.example',
  serial: '5a',
  notBefore: '2026-01-01T00:00:00.000Z',
  notAfter: '2028-01-01T00:00:00.000Z',
  daysLeft: 400,
  standing: 'good',
};

export const diagnosis = {
  migration: MIGRATION,
  vm: VM,
  phase: 'released',
  standing: 'in-doubt',
  meaning: 'The key was released.',
  since: '2026-11-23T12:00:00.000Z',
  exposedSince: '2026-11-23T12:00:00.000Z',
  turns: [{ domain: 'csp-b.example', must: ['import the keys, or give the VM back'] }],
  findings: [{ code: 'IN_DOUBT', text: 'neither side has run the VM for 70 s' }],
  safe: ['Bring it back.'],
  unsafe: ['Starting it at the source.'],
};

export const checkpoint = {
  publisher: 'csp-a.example',
  audience: 'csp-b.example',
  size: 7,
  note: 'csp-a.example/ledger/csp-b.example\n7\nBwcHBw==\n\n— csp-a.example/ledger/csp-b.example AAAA\n',
};
