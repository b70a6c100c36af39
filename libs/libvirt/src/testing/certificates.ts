import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { own, type RunAs } from '@carnet/dev';

/** An authority of a test, and certificates below it, made by openssl: nothing of ours vouches for ours. */
export type TestAuthority = { readonly dir: string; readonly caFile: string };

export function makeAuthority(dir: string, name: string): TestAuthority {
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  const caFile = join(dir, 'ca.pem');
  openssl(
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
    '-keyout',
    join(dir, 'ca.key'),
    '-out',
    caFile,
  );
  return { dir, caFile };
}

export type TestIdentity = { readonly dir: string; readonly ca: string; readonly cert: string; readonly key: string };

/**
 * A certificate for 127.0.0.1, for both directions, under the file names libvirt and QEMU look for,
 * in a directory that this user can read.
 */
export function makeIdentity(authority: TestAuthority, name: string, as: RunAs): TestIdentity {
  const dir = join(authority.dir, name);
  mkdirSync(dir, { mode: 0o700 });
  const [key, request, extensions, cert] = ['key.pem', 'csr.pem', 'ext.cnf', 'cert.pem'].map((file) => join(dir, file));
  if (!key || !request || !extensions || !cert) throw new Error('unreachable: four names make four paths');
  writeFileSync(
    extensions,
    'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=IP:127.0.0.1,DNS:localhost\n',
  );
  openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', `/O=test/CN=${name}`, '-keyout', key, '-out', request);
  openssl(
    'x509',
    '-req',
    '-in',
    request,
    '-CA',
    authority.caFile,
    '-CAkey',
    join(authority.dir, 'ca.key'),
    '-CAcreateserial',
    '-days',
    '2',
    '-extfile',
    extensions,
    '-out',
    cert,
  );
  const copies: readonly (readonly [string, readonly string[]])[] = [
    [authority.caFile, ['cacert.pem', 'ca-cert.pem']],
    [cert, ['clientcert.pem', 'servercert.pem', 'client-cert.pem', 'server-cert.pem']],
    [key, ['clientkey.pem', 'serverkey.pem', 'client-key.pem', 'server-key.pem']],
  ];
  for (const [from, names] of copies) {
    for (const to of names.map((file) => join(dir, file))) {
      writeFileSync(to, readFileSync(from), { mode: 0o600 });
      own(to, as);
    }
  }
  own(dir, as);
  const text = (file: string): string => readFileSync(file, 'utf8');
  return { dir, ca: text(authority.caFile), cert: text(cert), key: text(key) };
}

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' });
}
