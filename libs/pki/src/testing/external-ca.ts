import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Runs OpenSSL as a witness or as somebody else's CA; what it says on stdout. */
export const openssl = (...args: readonly string[]): string =>
  execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

export const CONSTRAINTS = (domain: string): readonly string[] => [
  `permitted;URI.0=${domain}`,
  `permitted;URI.1=.${domain}`,
  `permitted;DNS.0=${domain}`,
  'excluded;IP.0=0.0.0.0/0.0.0.0',
  'excluded;IP.1=0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0',
];

export type ExternalCa = {
  readonly rootPem: string;
  /** Signs a request as that CA's operator configured it. */
  readonly sign: (requestPem: string, profile?: SigningProfile) => string;
  readonly crl: () => Uint8Array;
};
export type SigningProfile = {
  readonly basicConstraints?: string;
  readonly keyUsage?: string;
  /** `nameConstraints` with its criticality; absent: none. */
  readonly nameConstraints?: { readonly prefix: string; readonly names: readonly string[] };
  readonly more?: readonly string[];
  readonly subject?: string;
};

/** A CA that is not ours: OpenSSL's command line, with a root and keys of its own. */
export function externalCa(dir: string): ExternalCa {
  const at = (name: string): string => join(dir, name);
  const subject = ['-subj', '/O=Somebody else/CN=Their root'];
  const ext = ['-addext', 'basicConstraints=critical,CA:true', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'];
  openssl('req', '-x509', '-newkey', 'rsa:3072', '-nodes', '-keyout', at('root.key'), '-out', at('root.pem'), ...subject, ...ext);
  writeFileSync(at('index.txt'), '');
  writeFileSync(
    at('ca.cnf'),
    `[ca]\ndefault_ca=d\n[d]\ndatabase=${at('index.txt')}\ndefault_md=sha256\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n`,
  );
  return {
    rootPem: readFileSync(at('root.pem'), 'utf8'),
    sign: (requestPem, profile = {}) => {
      writeFileSync(at('in.csr'), requestPem);
      writeFileSync(at('ext.cnf'), extensionText(profile));
      const named = profile.subject === undefined ? [] : ['-subj', profile.subject];
      const files = ['-in', at('in.csr'), '-CA', at('root.pem'), '-CAkey', at('root.key'), '-CAcreateserial'];
      return openssl('x509', '-req', ...files, '-days', '30', '-sha256', '-extfile', at('ext.cnf'), ...named);
    },
    crl: () => {
      const common = ['-config', at('ca.cnf'), '-cert', at('root.pem'), '-keyfile', at('root.key')];
      openssl('ca', '-gencrl', ...common, '-crldays', '30', '-out', at('crl.pem'));
      openssl('crl', '-in', at('crl.pem'), '-outform', 'DER', '-out', at('crl.der'));
      return Uint8Array.from(readFileSync(at('crl.der')));
    },
  };
}

function extensionText(profile: SigningProfile): string {
  const { basicConstraints = 'critical,CA:true,pathlen:0', keyUsage = 'critical,keyCertSign,cRLSign', nameConstraints } = profile;
  return [
    `basicConstraints=${basicConstraints}`,
    `keyUsage=${keyUsage}`,
    'subjectKeyIdentifier=hash',
    'authorityKeyIdentifier=keyid',
    ...(nameConstraints === undefined ? [] : [`nameConstraints=${nameConstraints.prefix}@names`]),
    ...(profile.more ?? []),
    ...(nameConstraints === undefined ? [] : ['[names]', ...nameConstraints.names]),
    '',
  ].join('\n');
}
