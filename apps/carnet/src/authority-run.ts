import { createPrivateKey, createPublicKey } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { type SpiffeId, spiffeId, type TrustDomain, trustDomain } from '@carnet/events';
import {
  acceptIssuer,
  createRequest,
  freshRsaKeys,
  initIssuer,
  initRoot,
  makeCrl,
  type Office,
  openAuthority,
  PKI_CODES,
  PkiError,
  privateKeyPem,
  readPrivateText,
  readRegister,
  readRequestPem,
  revokeCertificate,
  signIssuer,
  signLeaf,
  writePem,
} from '@carnet/pki';
import type { Checked } from '@carnet/trust';
import { EXIT, VerbError } from './exit.ts';
import type { Streams } from './world.ts';

// What `carnet authority` does, apart from its words: loaded when it is asked for.

const DAY_MS = 86_400_000;
export const daysToMs = (days: number): number => days * DAY_MS;

/** A refusal by rule ends the verb with 5, a mistake of the caller's with 1; both say their code. */
export function ruled<T>(checked: Checked<T, keyof typeof PKI_CODES>): T {
  if (checked.ok) return checked.value;
  const compared = [checked.expected && `expected ${checked.expected}`, checked.got && `got ${checked.got}`].filter(Boolean);
  const said = compared.length === 0 ? checked.text : `${checked.text} (${compared.join(', ')})`;
  throw new VerbError(EXIT.refused, checked.code, said, PKI_CODES[checked.code].advice);
}

export async function mistakesSaid<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof PkiError)) throw cause;
    throw new VerbError(EXIT.failed, cause.code, cause.message.slice(cause.code.length + 2));
  }
}

const wrongUse = (text: string): VerbError => new VerbError(EXIT.usage, 'ARGUMENT_INVALID', text);

export function domainOf(text: string): TrustDomain {
  const parsed = trustDomain.safeParse(text);
  if (parsed.success) return parsed.data;
  throw wrongUse(`expected a trust domain such as csp-a.example, got ${text}`);
}

export function idOf(text: string): SpiffeId {
  const parsed = spiffeId.safeParse(text);
  if (parsed.success) return parsed.data;
  throw wrongUse(`expected a SPIFFE id such as spiffe://csp-a.example/broker, got ${text}`);
}

export type Where = { readonly dir: string; readonly passphraseFile: string };

const officeOf = ({ dir, passphraseFile }: Where, { nowMs, random }: Streams): Office => ({
  dir,
  authority: openAuthority(dir, passphraseFile),
  nowMs,
  random,
});

const requestIn = (file: string) => ruled(readRequestPem(readFileSync(file, 'utf8')));

/** Never over a file that is there: it may be in use. */
function writeNew(file: string, content: string | Uint8Array, mode: number): void {
  if (existsSync(file)) throw wrongUse(`${file} is there already`);
  writeFileSync(file, content, { flag: 'wx', mode });
}

export async function makeRoot(where: Where, name: string, days: number, streams: Streams): Promise<void> {
  await initRoot({ ...where, name, lifeMs: daysToMs(days), ...portsOf(streams) });
}

export async function makeIssuer(where: Where, domain: string, streams: Streams): Promise<void> {
  await initIssuer({ ...where, domain: domainOf(domain), ...portsOf(streams) });
}

const portsOf = ({ nowMs, random }: Streams) => ({ nowMs: nowMs(), random, keys: freshRsaKeys });

export function signCsp(
  where: Where,
  of: { readonly domain: string; readonly request: string; readonly out: string; readonly days: number },
  streams: Streams,
): void {
  const wish = { domain: domainOf(of.domain), lifeMs: daysToMs(of.days) };
  const certificate = signIssuer(officeOf(where, streams), requestIn(of.request), wish);
  writeNew(of.out, writePem('CERTIFICATE', certificate), 0o644);
}

export function acceptCsp(dir: string, of: { readonly certificate: string; readonly root: string }, { nowMs }: Streams): void {
  const read = (file: string): string => readFileSync(file, 'utf8');
  ruled(acceptIssuer(dir, { certificatePem: read(of.certificate), rootPem: read(of.root), nowMs: nowMs() }));
}

export function signFor(
  where: Where,
  of: {
    readonly profile: Parameters<typeof signLeaf>[2]['profile'];
    readonly id: string;
    readonly dns: readonly string[];
    readonly request: string;
    readonly out: string;
    readonly days: number;
  },
  streams: Streams,
): void {
  const wish = { profile: of.profile, spiffeId: idOf(of.id), dnsNames: of.dns, lifeMs: daysToMs(of.days) };
  const leaf = ruled(signLeaf(officeOf(where, streams), requestIn(of.request), wish));
  writeNew(of.out, leaf.pem, 0o644);
}

export function revokeIn(
  where: Where,
  of: Omit<Parameters<typeof revokeCertificate>[1], 'crlMs'> & { readonly crlDays: number },
  streams: Streams,
): void {
  ruled(revokeCertificate(officeOf(where, streams), { ...of, crlMs: daysToMs(of.crlDays) }));
}

export function crlIn(where: Where, days: number, streams: Streams): void {
  makeCrl(officeOf(where, streams), daysToMs(days));
}

export interface RegisterRow {
  readonly serial: string;
  readonly profile: string;
  readonly name: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly daysLeft: number;
  readonly state: string;
}

export function registerRows(dir: string, nowMs: number): readonly RegisterRow[] {
  const { issued, revoked } = readRegister(dir);
  return issued.map(({ serial, what, notBefore, notAfter }) => {
    const revocation = revoked.get(serial);
    const isOver = Date.parse(notAfter) <= nowMs;
    return {
      serial,
      profile: what.profile,
      name: what.profile === 'issuer' ? what.domain : what.spiffeId,
      notBefore,
      notAfter,
      daysLeft: Math.floor((Date.parse(notAfter) - nowMs) / DAY_MS),
      state: revocation === undefined ? (isOver ? 'expired' : 'good') : `revoked (${revocation.reason})`,
    };
  });
}

/** On the holder's machine: the key never leaves it. An existing key is used as it is. */
export async function makeRequest(of: {
  readonly key: string;
  readonly id: string;
  readonly dns: readonly string[];
  readonly out: string;
}): Promise<void> {
  const id = idOf(of.id);
  const commonName = id.slice('spiffe://'.length).replace('/', ' ');
  const keys = existsSync(of.key) ? pairIn(of.key) : await freshRsaKeys();
  const request = createRequest(keys, { commonName, spiffeId: id, dnsNames: of.dns });
  if (!existsSync(of.key)) writeNew(of.key, privateKeyPem(keys.privateKey), 0o600);
  writeNew(of.out, writePem('CERTIFICATE REQUEST', request), 0o644);
}

function pairIn(file: string) {
  const privateKey = createPrivateKey(readPrivateText(file));
  return { privateKey, publicKey: createPublicKey(privateKey) };
}
