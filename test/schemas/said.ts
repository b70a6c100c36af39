import { createHash, createPrivateKey } from 'node:crypto';
import { type Digest, GENESIS, intentRequest, PAYLOAD_TYPES, timestamp, trustDomain } from '@carnet/events';
import { ed25519Signer, keyAnnouncementBytes, pae } from '@carnet/trust';

// What the vectors say. Fixed, so that they are the same to the byte on every machine.

export const A = trustDomain.parse('csp-a.example');
export const B = trustDomain.parse('csp-b.example');
export const AT = timestamp.parse('2026-11-23T12:00:00.000Z');
const VM = `${A}/11111111-1111-4111-8111-111111111111`;
export const MIGRATION = '01936ad4-0000-7000-8000-000000000001';

/** PKCS #8 of an Ed25519 seed (RFC 8410, section 7). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
/** Everyone knows this key: never trust it. */
export const eventKey = ed25519Signer(
  createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, createHash('sha256').update('carnet test vector: event key').digest()]),
    format: 'der',
    type: 'pkcs8',
  }),
);

const statement = {
  keyid: eventKey.keyid,
  algorithm: 'Ed25519',
  publicKey: Buffer.from(eventKey.publicKey).toString('base64'),
  notBefore: AT,
} as const;
/** What A's broker certificate signs about the event key. */
export const statementBytes = keyAnnouncementBytes(A, B, statement);

export const request = intentRequest.parse({
  migration: MIGRATION,
  vm: VM,
  target: B,
  mode: 'cold',
  reason: 'a host is to be serviced',
});
export const requestPayload = Buffer.from(JSON.stringify(request));
/** What A's scheduler certificate signs. */
export const requestBytes = pae(PAYLOAD_TYPES.request, requestPayload);

const common = { v: 1, publisher: A, audience: B, causes: [], time: AT };

export const keyAnnounced = (chain: readonly string[], signature: string): object => ({
  ...common,
  id: '01936ad4-0000-7000-8000-000000000010',
  seq: '1',
  prev: GENESIS,
  type: 'KeyAnnounced',
  data: { ...statement, chain, signature },
});

const ruledBy = {
  policySet: 'ab'.repeat(32),
  version: 1,
  schema: 'bc'.repeat(32),
  entities: 'cd'.repeat(32),
  engine: 'cedar 4.13.0',
};

export const migrationIntended = (prev: Digest, envelope: object, certificate: string): object => ({
  ...common,
  id: '01936ad4-0000-7000-8000-000000000011',
  seq: '2',
  prev,
  type: 'MigrationIntended',
  migration: MIGRATION,
  epoch: 1,
  data: {
    vm: VM,
    source: A,
    target: B,
    mode: 'cold',
    spec: {
      name: 'web',
      vcpus: 2,
      memoryMiB: 2048,
      machine: 'pc-q35-7.2',
      cpuModel: 'qemu64',
      boot: { kind: 'disk' },
      disks: [
        {
          artifact: '22222222-2222-4222-8222-222222222222',
          target: 'vda',
          format: 'qcow2',
          capacityBytes: 1_073_741_824,
          key: '33333333-3333-4333-8333-333333333333',
        },
      ],
    },
    request: { via: 'signature', principal: `spiffe://${A}/scheduler`, envelope, certificate },
    policy: {
      allowed: true,
      ...ruledBy,
      asked: {
        action: 'send',
        principal: `spiffe://${A}/scheduler`,
        vm: VM,
        source: A,
        target: B,
        mode: 'cold',
        time: AT,
        open: { migrations: 0, memoryMiB: 0, diskBytes: 0 },
        approvers: [],
      },
      request: 'ef'.repeat(32),
      determining: ['send-own-projects'],
      reasons: [{ code: 'ALLOWED', text: 'Policies permit it, and none forbids it. (policies send-own-projects) Nothing.' }],
    },
    offerBy: '2026-11-23T12:01:00.000Z',
    deadline: '2026-11-23T13:00:00.000Z',
  },
});
