import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TrustDomain } from '@carnet/events';
import { initIssuer, initRoot, openAuthority } from '../issuing/authority-files.ts';
import type { Office } from '../issuing/issue.ts';
import type { RsaKeySource } from '../rsa-keys.ts';
import { NOW_MS, random, testKeys } from './chains.ts';

/** A directory for authorities, with a passphrase that only its owner reads. */
export function authorityGround() {
  const dir = mkdtempSync(join(tmpdir(), 'carnet-authority-'));
  const passphraseFile = join(dir, 'passphrase');
  writeFileSync(passphraseFile, 'correct horse battery staple\n', { mode: 0o600 });
  const keys: RsaKeySource = testKeys();
  const place = (name: string) => ({ dir: join(dir, name), passphraseFile, nowMs: NOW_MS, keys, random });
  return {
    dir,
    passphraseFile,
    keys,
    makeRoot: (name = 'root') => initRoot({ ...place(name), name: 'Test root', lifeMs: 3_650 * 86_400_000 }),
    makeIssuer: (domain: TrustDomain, name: string = domain) => initIssuer({ ...place(name), domain }),
    office: (name: string, nowMs: () => number = () => NOW_MS): Office => ({
      dir: join(dir, name),
      authority: openAuthority(join(dir, name), passphraseFile),
      nowMs,
      random,
    }),
  };
}
