import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writePem } from '../pem.ts';

export type OracleQuestion = {
  readonly chain: readonly Uint8Array[];
  readonly roots: readonly Uint8Array[];
  readonly crls: readonly Uint8Array[];
  readonly atMs: number;
  readonly purpose: 'sslserver' | 'sslclient';
};

/**
 * What OpenSSL says of a chain: `OK` or its error text. `-auth_level 3` is the 128-bit level: RSA-3072 and SHA-256.
 */
export function askOpenSsl({ chain, roots, crls, atMs, purpose }: OracleQuestion): string {
  const dir = mkdtempSync(join(tmpdir(), 'carnet-pki-'));
  const file = (name: string, label: 'CERTIFICATE' | 'X509 CRL', ders: readonly Uint8Array[]): string => {
    writeFileSync(join(dir, name), ders.map((der) => writePem(label, der)).join(''));
    return join(dir, name);
  };
  try {
    const strict = [
      '-x509_strict',
      '-crl_check_all',
      '-auth_level',
      '3',
      '-purpose',
      purpose,
      '-attime',
      String(Math.floor(atMs / 1_000)),
    ];
    const above = [
      '-CAfile',
      file('roots.pem', 'CERTIFICATE', roots),
      '-untrusted',
      file('above.pem', 'CERTIFICATE', chain.slice(1)),
    ];
    const lists = crls.length === 0 ? [] : ['-CRLfile', file('crls.pem', 'X509 CRL', crls)];
    const leaf = file('leaf.pem', 'CERTIFICATE', chain.slice(0, 1));
    const ran = spawnSync('openssl', ['verify', ...strict, ...above, ...lists, leaf], { encoding: 'utf8' });
    if (ran.error !== undefined) throw new Error('openssl is missing: npm run setup', { cause: ran.error });
    if (ran.status === 0) return 'OK';
    return /lookup: (.*)/.exec(ran.stderr)?.[1] ?? ran.stderr;
  } finally {
    rmSync(dir, { recursive: true });
  }
}
