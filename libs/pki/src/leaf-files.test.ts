import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostName, trustDomain } from '@carnet/events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFederationPki } from './federation.ts';
import { loadLeaf, readPrivateText } from './leaf-files.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-leaf-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const domain = trustDomain.parse('csp-a.example');
const file = (name: string): string => join(dir, domain, name);

beforeAll(async () => {
  const members = [{ domain, hosts: [hostName.parse('hv1')] }];
  const random = (n: number): Uint8Array => new Uint8Array(n).fill(5);
  await createFederationPki({ dir, domains: members, busDomain: trustDomain.parse('bus.example'), nowMs: Date.now(), random });
}, 60_000);

describe('loadLeaf', () => {
  it('gives leaf and intermediate, and a signer that names the leaf', () => {
    const leaf = loadLeaf({ certificateFile: file('broker.pem'), keyFile: file('broker.key') });
    expect(leaf.chain).toHaveLength(2);
    expect(leaf.signer.keyid).toMatch(/^[0-9a-f]{64}$/);
  });

  it('refuses the key of another certificate', () => {
    expect(() => loadLeaf({ certificateFile: file('broker.pem'), keyFile: file('operator.key') })).toThrow(/KEY_MISMATCH/);
  });

  it('refuses a private key that others can read', () => {
    chmodSync(file('scheduler.key'), 0o640);
    expect(() => readPrivateText(file('scheduler.key'))).toThrow(/KEY_EXPOSED.*chmod 600/);
  });
});
