import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createRoot } from './authority.ts';
import { createCrl } from './build-crl.ts';
import { CRL_RECHECK_MS } from './limits.ts';
import { writePem } from './pem.ts';
import { freshRsaKeys } from './rsa-keys.ts';
import { openTrustFiles } from './trust-files.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-trust-'));
const files = { rootFile: join(dir, 'root.pem'), crlDirectory: join(dir, 'crls') };
afterAll(() => rmSync(dir, { recursive: true, force: true }));

beforeAll(async () => {
  const random = (n: number): Uint8Array => new Uint8Array(n).fill(7);
  const root = createRoot({ name: 'root', keys: await freshRsaKeys(), random, notBeforeMs: 0, notAfterMs: 4_000_000_000_000 });
  writeFileSync(files.rootFile, writePem('CERTIFICATE', root.certificate));
  mkdirSync(files.crlDirectory);
  writeFileSync(join(dir, 'crl'), createCrl(root, { number: 1, thisUpdateMs: 0, nextUpdateMs: 4_000_000_000_000, revoked: [] }));
});

it('reads CRLs again when their directory changes, and keeps those it knows when it cannot', () => {
  let nowMs = 0;
  const store = openTrustFiles(files, () => nowMs);
  expect(store().roots).toHaveLength(1);
  expect(store().crls).toHaveLength(0);
  writeFileSync(join(files.crlDirectory, 'root.der'), readFileSync(join(dir, 'crl')));
  expect(store().crls).toHaveLength(0);
  nowMs += CRL_RECHECK_MS;
  expect(store().crls).toHaveLength(1);
  rmSync(files.crlDirectory, { recursive: true });
  nowMs += CRL_RECHECK_MS;
  expect(store().crls).toHaveLength(1);
});
