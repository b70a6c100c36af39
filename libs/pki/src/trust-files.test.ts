import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CRL_RECHECK_MS } from './limits.ts';
import { writePem } from './pem.ts';
import { createWorld, crlOf } from './testing/chains.ts';
import { openTrustFiles } from './trust-files.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-trust-'));
const [crls, told] = [join(dir, 'crls'), join(dir, 'told')];
const files = { rootFile: join(dir, 'root.pem'), crlDirectories: [crls, told], marksFile: join(dir, 'marks.json') };
const { root } = await createWorld();
afterAll(() => rmSync(dir, { recursive: true, force: true }));

beforeAll(() => {
  writeFileSync(files.rootFile, writePem('CERTIFICATE', root.certificate));
  for (const one of [crls, told]) mkdirSync(one);
});

it('reads CRLs again when a directory changes, and keeps those it knows when it cannot', () => {
  let nowMs = 0;
  const store = openTrustFiles(files, () => nowMs);
  expect(store().roots).toHaveLength(1);
  expect(store().crls).toHaveLength(0);
  writeFileSync(join(crls, 'root.der'), crlOf(root));
  expect(store().crls).toHaveLength(0);
  nowMs += CRL_RECHECK_MS;
  const first = store().crls;
  expect(first).toHaveLength(1);
  writeFileSync(join(told, 'root.der'), crlOf(root, [], 2));
  nowMs += CRL_RECHECK_MS;
  expect(store().crls).toHaveLength(2);
  renameSync(crls, `${crls}.away`);
  nowMs += CRL_RECHECK_MS;
  expect(store().crls).toHaveLength(2);
  const same = store().crls;
  renameSync(`${crls}.away`, crls);
  nowMs += CRL_RECHECK_MS;
  expect(store().crls).toBe(same);
});

it('a file of marks that cannot be read stops the start', () => {
  writeFileSync(files.marksFile, '{}');
  expect(() => openTrustFiles(files, () => 0)).toThrow('MARKS_BROKEN');
  rmSync(files.marksFile);
});
