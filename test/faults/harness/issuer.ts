import { createPrivateKey, createPublicKey, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asSelf, type Daemon, nodeEnv, repositoryRoot, startDaemon } from '@carnet/dev';
import { type SpiffeId, spiffeId, type TrustDomain } from '@carnet/events';
import {
  authorityPaths,
  createRequest,
  type FederationMember,
  initIssuer,
  type LeafWish,
  type Office,
  openAuthority,
  readRequest,
  signLeaf,
  writePem,
} from '@carnet/pki';

/** One side's issuing authority as a directory, with the key that its federation made in memory. */
export type IssuerPlace = { readonly dir: string; readonly passphraseFile: string; readonly domain: TrustDomain };

export async function issuerPlace(dir: string, domain: TrustDomain, { authority }: FederationMember): Promise<IssuerPlace> {
  const passphraseFile = `${dir}.pass`;
  mkdirSync(dir, { recursive: true });
  writeFileSync(passphraseFile, randomBytes(32).toString('hex'), { mode: 0o600 });
  const made = { dir, passphraseFile, domain, nowMs: Date.now(), random: randomBytes, keys: async () => authority.keys };
  await initIssuer(made);
  writeFileSync(authorityPaths(dir).certificate, writePem('CERTIFICATE', authority.certificate));
  return { dir, passphraseFile, domain };
}

/** A leaf in files, as if it had been issued so long ago. Its key is the one that is there, or a given one. */
export function issueInto(
  { dir, passphraseFile, domain }: IssuerPlace,
  files: { readonly certificateFile: string; readonly keyFile: string },
  wish: Pick<LeafWish, 'profile' | 'dnsNames' | 'lifeMs'> & {
    readonly path: string;
    readonly agoMs: number;
    readonly keyPem?: string;
  },
): SpiffeId {
  const id = spiffeId.parse(`spiffe://${domain}/${wish.path}`);
  if (wish.keyPem !== undefined) writeFileSync(files.keyFile, wish.keyPem, { mode: 0o600 });
  const privateKey = createPrivateKey(readFileSync(files.keyFile));
  const keys = { privateKey, publicKey: createPublicKey(privateKey) };
  const nowMs = (): number => Date.now() - wish.agoMs;
  const office: Office = { dir, authority: openAuthority(dir, passphraseFile), nowMs, random: randomBytes };
  const request = readRequest(createRequest(keys, { commonName: 'x', spiffeId: id }));
  if (!request.ok) throw new Error(request.code);
  const leaf = signLeaf(office, request.value, { ...wish, spiffeId: id });
  if (!leaf.ok) throw new Error(`${leaf.code}: ${leaf.text}`);
  writeFileSync(files.certificateFile, leaf.value.pem);
  return id;
}

/** `carnet authority serve` as a process. `trustDir` holds root.pem and crls. */
export async function startIssuer(
  place: IssuerPlace,
  { port, trustDir, keyPem }: { readonly port: number; readonly trustDir: string; readonly keyPem: string },
): Promise<Daemon> {
  const at = (name: string): string => `${place.dir}.${name}`;
  const files = { certificateFile: at('server.pem'), keyFile: at('server.key') };
  issueInto(place, files, { profile: 'server', path: 'server/issuer', dnsNames: [], lifeMs: 3_600_000, agoMs: 0, keyPem });
  const quoted = JSON.stringify;
  writeFileSync(
    at('toml'),
    [
      `domain = ${quoted(place.domain)}`,
      `directory = ${quoted(place.dir)}`,
      `passphraseFile = ${quoted(place.passphraseFile)}`,
      `[listen]\nport = ${port}`,
      `[identity]\ncertificateFile = ${quoted(files.certificateFile)}\nkeyFile = ${quoted(files.keyFile)}`,
      `[trust]\nrootFile = ${quoted(join(trustDir, 'root.pem'))}\ncrlDirectory = ${quoted(join(trustDir, 'crls'))}`,
      `marksFile = ${quoted(at('marks.json'))}\n`,
    ].join('\n'),
  );
  return startDaemon({
    name: `issuer of ${place.domain}`,
    as: asSelf(),
    command: [
      join(repositoryRoot, 'node_modules/.bin/node'),
      join(repositoryRoot, 'apps/carnet/src/main.ts'),
      'authority',
      'serve',
      '--config',
      at('toml'),
    ],
    env: nodeEnv(),
    cwd: '/',
    logFile: at('log'),
    stopSignal: 'SIGTERM',
    ready: () => readFileSync(at('log'), 'utf8').includes('serving renewals'),
  });
}
