import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { trustDomain } from '@carnet/events';
import { createFederationPki, rememberedRsaKeys } from '@carnet/pki';
import { afterAll, expect, it } from 'vitest';
import { openIdentity } from './identity.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-identity-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const A = trustDomain.parse('csp-a.example');
await createFederationPki({
  dir,
  domains: [{ domain: A, hosts: [] }],
  busDomain: trustDomain.parse('bus.example'),
  nowMs: Date.now(),
  random: randomBytes,
  keys: rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`)),
});

const files = {
  certificateFile: join(dir, A, 'broker.pem'),
  keyFile: join(dir, A, 'broker.key'),
  eventKeyFile: join(dir, 'event.key'),
};
const put = (text: string, mode = 0o600): void => {
  writeFileSync(`${files.eventKeyFile}.new`, text, { mode });
  chmodSync(`${files.eventKeyFile}.new`, mode);
  renameSync(`${files.eventKeyFile}.new`, files.eventKeyFile);
};
const newKey = (): string => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

it('reads a changed event key again, and signs on with the old one when it cannot', () => {
  const said: object[] = [];
  const log = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: (fields: object) => void said.push(fields),
  };
  put(newKey());
  const identity = openIdentity(files, log as never, Date.now);
  const first = identity.signing().signer.keyid;
  expect(identity.look()).toBe('same');
  put('no key');
  expect(identity.look()).toBe('same');
  put(newKey(), 0o644);
  expect(identity.look()).toBe('same');
  rmSync(files.eventKeyFile);
  expect(identity.look()).toBe('same');
  expect(identity.signing().signer.keyid).toBe(first);
  expect(said).toHaveLength(3);
  expect(said).toContainEqual(expect.objectContaining({ code: 'EVENT_KEY_UNREADABLE' }));
  put(newKey());
  expect(identity.look()).toBe('changed');
  expect(identity.signing().signer.keyid).not.toBe(first);
  expect(identity.look()).toBe('same');
});
