import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TrustDomain, trustDomain } from '@carnet/events';
import { z } from 'zod';
import { type Authority, createRoot, issuerName } from '../authority.ts';
import type { RandomBytes } from '../build-certificate.ts';
import { readCertificate } from '../certificate.ts';
import { writeDurably } from '../durable.ts';
import { PkiError } from '../error.ts';
import { readPrivateText } from '../leaf-files.ts';
import { BACKDATE_MS, BUSY_MS_MAX, PASSPHRASE_CHARS_MIN } from '../limits.ts';
import { exclusively } from '../lock-file.ts';
import { readPem, writePem } from '../pem.ts';
import { createRequest } from '../request.ts';
import type { RsaKeyPair, RsaKeySource } from '../rsa-keys.ts';

/** What an authority is, as its directory says. */
const identityFile = z.strictObject({
  v: z.literal(1),
  name: z.string().min(1),
  /** Absent: the federation's root. */
  domain: trustDomain.optional(),
});

const at = (dir: string) =>
  ({
    identity: join(dir, 'authority.json'),
    key: join(dir, 'authority.key'),
    certificate: join(dir, 'authority.pem'),
    request: join(dir, 'authority.csr'),
    crl: join(dir, 'crl.der'),
    lock: join(dir, 'lock'),
  }) as const;
export const authorityPaths = at;

export type NewAuthority = {
  readonly dir: string;
  readonly passphraseFile: string;
  readonly nowMs: number;
  readonly keys: RsaKeySource;
  readonly random: RandomBytes;
};

/**
 * The federation's root: a key, and a certificate that it signs itself. On a machine without network.
 * @throws PkiError AUTHORITY_EXISTS: a second key under one name would be a second truth
 */
export async function initRoot(of: NewAuthority & { readonly name: string; readonly lifeMs: number }): Promise<Uint8Array> {
  const passphrase = beginIn(of);
  const keys = await of.keys();
  const lifetime = { notBeforeMs: of.nowMs - BACKDATE_MS, notAfterMs: of.nowMs + of.lifeMs };
  const root = createRoot({ ...lifetime, name: of.name, keys, random: of.random });
  writeKey(of.dir, keys.privateKey, passphrase);
  writeDurably(at(of.dir).certificate, writePem('CERTIFICATE', root.certificate));
  writeDurably(at(of.dir).identity, json({ v: 1, name: of.name }));
  return root.certificate;
}

/** A CSP's issuing authority: a key, and a request that the root (or whatever CA the federation has for one) signs elsewhere. */
export async function initIssuer(of: NewAuthority & { readonly domain: TrustDomain }): Promise<string> {
  const passphrase = beginIn(of);
  const keys = await of.keys();
  const name = issuerName(of.domain);
  const request = writePem('CERTIFICATE REQUEST', createRequest(keys, { commonName: name }));
  writeKey(of.dir, keys.privateKey, passphrase);
  writeDurably(at(of.dir).request, request);
  writeDurably(at(of.dir).identity, json({ v: 1, name, domain: of.domain }));
  return request;
}

function beginIn({ dir, passphraseFile }: NewAuthority): string {
  const passphrase = readPassphrase(passphraseFile);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  for (const file of [at(dir).identity, at(dir).key])
    if (existsSync(file)) throw new PkiError('AUTHORITY_EXISTS', `${file} is there already`);
  return passphrase;
}

/** One line, of a file that only its owner reads; never an argument: those are everybody's on the machine. */
function readPassphrase(file: string): string {
  const passphrase = readPrivateText(file).replace(/\r?\n$/, '');
  if (passphrase.length >= PASSPHRASE_CHARS_MIN) return passphrase;
  throw new PkiError('PASSPHRASE_SHORT', `expected at least ${PASSPHRASE_CHARS_MIN} characters in ${file}`);
}

function writeKey(dir: string, key: KeyObject, passphrase: string): void {
  const pem = key.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase });
  writeDurably(at(dir).key, pem.toString());
}

const json = (value: z.infer<typeof identityFile>): string => `${JSON.stringify(value)}\n`;

/** What an authority is without its key. `certificate`: absent until its request was signed. */
export type AuthorityIdentity = { readonly name: string; readonly domain?: TrustDomain; readonly certificate?: Uint8Array };

/** @throws PkiError AUTHORITY_INCOMPLETE */
export function readIdentity(dir: string): AuthorityIdentity {
  const { identity, certificate } = at(dir);
  if (!existsSync(identity)) throw new PkiError('AUTHORITY_INCOMPLETE', `${dir} holds no authority: make one first`);
  const { name, domain } = identityFile.parse(JSON.parse(readFileSync(identity, 'utf8')));
  const [der] = existsSync(certificate) ? readPem(readFileSync(certificate, 'utf8'), 'CERTIFICATE') : [];
  return { name, ...(domain === undefined ? {} : { domain }), ...(der === undefined ? {} : { certificate: der }) };
}

/** @throws PkiError PASSPHRASE_WRONG */
export function readKeys(dir: string, passphraseFile: string): RsaKeyPair {
  const passphrase = readPassphrase(passphraseFile);
  const key = readPrivateText(at(dir).key);
  try {
    const privateKey = createPrivateKey({ key, passphrase });
    return { privateKey, publicKey: createPublicKey(privateKey) };
  } catch (cause) {
    throw new PkiError('PASSPHRASE_WRONG', `${at(dir).key} does not open`, { cause });
  }
}

/**
 * An authority that can sign.
 * @throws PkiError AUTHORITY_INCOMPLETE: its request has not been signed, or not accepted here
 */
export function openAuthority(dir: string, passphraseFile: string): Authority {
  const { name, domain, certificate } = readIdentity(dir);
  if (certificate === undefined)
    throw new PkiError(
      'AUTHORITY_INCOMPLETE',
      `${at(dir).certificate} is missing: have ${at(dir).request} signed, and accept it`,
    );
  const read = readCertificate(certificate);
  if (!read.ok) throw new PkiError('AUTHORITY_INCOMPLETE', `${at(dir).certificate}: ${read.text}`);
  const keys = readKeys(dir, passphraseFile);
  const { notAfterMs, publicKey } = read.value;
  if (!publicKey.equals(keys.publicKey)) throw new PkiError('KEY_MISMATCH', `${at(dir).key} is not the key of its certificate`);
  return { name, ...(domain === undefined ? {} : { domain }), certificate, notAfterMs, keys };
}

/**
 * Alone with a directory's register.
 * @throws PkiError AUTHORITY_BUSY: another process is at work; it takes milliseconds
 */
export const alone = <T>(dir: string, work: () => T): T =>
  exclusively(at(dir).lock, { code: 'AUTHORITY_BUSY', waitMs: BUSY_MS_MAX }, work);
