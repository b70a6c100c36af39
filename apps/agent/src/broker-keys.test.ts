import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { spiffeId } from '@carnet/events';
import { createCrl, issueLeaf, readCertificate, type TrustStore, writePem } from '@carnet/pki';
import { sha256Hex } from '@carnet/trust';
import { afterAll, expect, it } from 'vitest';
import { brokerKeys } from './broker-keys.ts';
import { systemClock } from './clock.ts';
import { BROKER_CHAINS_MAX } from './limits.ts';
import { A, B, twoCsps } from './testing/two-csps.ts';

const { dir, pki, member, remove } = await twoCsps('broker-keys');
afterAll(remove);
const list = (domain: typeof A, number: number, serials: readonly string[] = []): Uint8Array =>
  createCrl(member(domain).authority, {
    number,
    thisUpdateMs: Date.now() - 60_000,
    nextUpdateMs: Date.now() + 3_600_000,
    revoked: serials.map((serial) => ({ serial, atMs: Date.now(), reason: 'keyCompromise' as const })),
  });
const rootList = createCrl(pki.root, {
  number: 1,
  thisUpdateMs: Date.now() - 60_000,
  nextUpdateMs: Date.now() + 3_600_000,
  revoked: [],
});
let store: TrustStore = { roots: [pki.root.certificate], crls: [rootList, list(A, 1), list(B, 1)] };

/** Another leaf of that name, as a renewal makes it. */
const leafOf = (domain: typeof A, path: string) =>
  issueLeaf(member(domain).authority, {
    notBeforeMs: Date.now() - 1_000,
    notAfterMs: Date.now() + 3_600_000,
    profile: 'broker',
    spiffeId: spiffeId.parse(`spiffe://${domain}/${path}`),
    dnsNames: [],
    publicKey: pki.root.keys.publicKey,
    random: randomBytes,
  });
const shown = ({ chain }: { readonly chain: readonly string[] }): Uint8Array => Buffer.from(JSON.stringify({ chain }));
const keyOf = ({ certificate }: { readonly certificate: Uint8Array }): string => sha256Hex(certificate);
const open = () =>
  brokerKeys(
    join(dir, A, 'broker.pem'),
    A,
    () => store,
    () => systemClock.now(),
  );

it('a leaf that our broker shows is known beside that of the file', () => {
  const { keys, learn } = open();
  const next = leafOf(A, 'broker');
  expect(keys(keyOf(next))).toBeUndefined();
  learn(shown(next));
  expect(keys(keyOf(next))).toBeDefined();
  const first = member(A).leaves.get('broker');
  expect(first === undefined ? undefined : keys(keyOf(first))).toBeDefined();
});

it.each([
  ['another CSP’s broker', B, 'broker'],
  ['another leaf of ours', A, 'operator'],
])('%s is not', (_, domain, path) => {
  const { keys, learn } = open();
  const leaf = leafOf(domain, path);
  learn(shown(leaf));
  expect(keys(keyOf(leaf))).toBeUndefined();
});

it('bytes that are no chain change nothing', () => {
  const { learn } = open();
  for (const bytes of [randomBytes(50), Buffer.from('{}'), Buffer.from('{"chain":[]}'), Buffer.alloc(100_000, 0x20)])
    expect(() => learn(bytes)).not.toThrow();
});

it('a flood of genuine leaves pushes out the oldest only, and never that of the file', () => {
  const { keys, learn } = open();
  const many = Array.from({ length: BROKER_CHAINS_MAX + 2 }, () => leafOf(A, 'broker'));
  for (const one of many) learn(shown(one));
  expect(many.filter((one) => keys(keyOf(one)) !== undefined)).toHaveLength(BROKER_CHAINS_MAX);
  const first = member(A).leaves.get('broker');
  expect(first === undefined ? undefined : keys(keyOf(first))).toBeDefined();
});

it('one that was learned and then revoked is no longer believed', () => {
  const { keys, learn } = open();
  const next = leafOf(A, 'broker');
  learn(shown(next));
  const read = readCertificate(next.certificate);
  store = { ...store, crls: [rootList, list(A, 2, [read.ok ? read.value.serial : '']), list(B, 1)] };
  expect(keys(keyOf(next))).toBeUndefined();
  writeFileSync(join(dir, A, 'broker.pem'), writePem('CERTIFICATE', next.certificate));
  expect(keys(keyOf(next))).toBeUndefined();
});
