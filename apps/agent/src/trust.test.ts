import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { hostName, PAYLOAD_TYPES, trustDomain } from '@carnet/events';
import { createCrl, createFederationPki, leafSigner, rememberedRsaKeys } from '@carnet/pki';
import { signEnvelope } from '@carnet/trust';
import { afterAll, expect, it } from 'vitest';
import { brokerKeys } from './broker-keys.ts';
import { systemClock } from './clock.ts';
import { crlTaker, openAgentTrust } from './trust.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-told-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const [A, B] = [trustDomain.parse('csp-a.example'), trustDomain.parse('csp-b.example')];
const pki = await createFederationPki({
  dir,
  domains: [A, B].map((domain) => ({ domain, hosts: [hostName.parse('host-1')] })),
  busDomain: trustDomain.parse('bus.example'),
  nowMs: Date.now(),
  random: randomBytes,
  keys: rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`)),
});
const config = {
  trust: {
    rootFile: join(dir, 'root.pem'),
    crlDirectory: join(dir, 'crls'),
    brokerCertificateFile: join(dir, A, 'broker.pem'),
  },
  directories: { state: join(dir, 'state') },
} as unknown as Parameters<typeof openAgentTrust>[0];
mkdirSync(config.directories.state);

const memberOf = (domain: typeof A) => {
  const member = pki.members.get(domain);
  if (member === undefined) throw new Error(`no ${domain}`);
  return member;
};
const signerOf = (domain: typeof A, name: string) => {
  const leaf = memberOf(domain).leaves.get(name);
  if (leaf === undefined) throw new Error(`no ${name}`);
  return leafSigner(leaf.keys.privateKey, leaf.certificate);
};
const listOf = (number: number): Uint8Array =>
  createCrl(memberOf(B).authority, {
    number,
    thisUpdateMs: Date.now() - 60_000,
    nextUpdateMs: Date.now() + 3_600_000,
    revoked: [],
  });
const told = join(config.directories.state, 'crls');
const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

it('a list that our broker tells is kept and counts; an older one, and anybody else’s, changes nothing', () => {
  const nowMs = 0;
  const store = openAgentTrust(config, () => nowMs);
  const { keys } = brokerKeys(config.trust.brokerCertificateFile, A, store, () => systemClock.now());
  const take = crlTaker(config, { keys, trust: store }, silent);
  const before = store().crls.length;
  const say = (der: Uint8Array, domain = A, name = 'broker', type: string = PAYLOAD_TYPES.crl): void =>
    take(signEnvelope(type, der, signerOf(domain, name)));
  say(listOf(9), B);
  say(listOf(9), A, 'operator');
  say(listOf(9), A, 'broker', PAYLOAD_TYPES.command);
  say(Buffer.from('no list'));
  take(randomBytes(100));
  expect(readdirSync(told)).toEqual([]);
  say(listOf(5));
  const [name = ''] = readdirSync(told);
  expect(readdirSync(told)).toHaveLength(1);
  const kept = readFileSync(join(told, name));
  say(listOf(4));
  say(listOf(5));
  expect(readFileSync(join(told, name)).equals(kept)).toBe(true);
  expect(store().crls, 'at once').toHaveLength(before + 1);
  say(listOf(6));
  expect(readFileSync(join(told, name)).equals(kept)).toBe(false);
  writeFileSync(join(told, name), 'damaged');
  say(listOf(5));
  expect(readFileSync(join(told, name), 'utf8')).not.toBe('damaged');
  expect(readdirSync(told)).toEqual([name]);
});
