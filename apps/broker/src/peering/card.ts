import { type Digest, digest, type Timestamp, type TrustDomain, trustDomain } from '@carnet/events';
import { brokerId, readCertificate, readCrl, type TrustStore, validatePath } from '@carnet/pki';
import { z } from 'zod';
import type { ServiceResult } from '../service/result.ts';
import { CRL_SENT_BYTES_MAX, NONCE_BYTES } from './limits.ts';

const base64 = (bytesMax: number) => z.base64().max(Math.ceil(bytesMax / 3) * 4);
const CERTIFICATE_BYTES_MAX = 8_192;

/** Revocation lists of the issuing authority, DER in base64. */
export const crlList = z.array(base64(CRL_SENT_BYTES_MAX)).max(1).readonly();
export const nonce = z.string().regex(new RegExp(`^[0-9a-f]{${NONCE_BYTES * 2}}$`));

/** What a CSP shows of itself. Nothing of it is believed before the leaf of the connection was judged by it. */
export const card = z
  .strictObject({
    /** The issuing authority's certificate, DER in base64. */
    issuer: base64(CERTIFICATE_BYTES_MAX),
    crls: crlList,
    eventKey: digest,
    /** Trust domain of the bus on which it speaks. */
    bus: trustDomain,
  })
  .readonly();
export type Card = z.infer<typeof card>;

export interface CardPorts {
  readonly trust: () => TrustStore;
  readonly now: () => Timestamp;
}

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));

/** SHA-256 of a certificate that was judged before, or is our own. */
export function fingerprintOf(certificate: string): Digest {
  const read = readCertificate(bytesOf(certificate));
  if (!read.ok) throw new Error(`impossible: a certificate that was good is ${read.code}`);
  return read.value.digest;
}

/** The newest of these lists that is of this authority: those of others are not for its CSP to bring. None, or one. */
export function newestList(issuer: string, lists: readonly Uint8Array[]): readonly string[] {
  const authority = readCertificate(bytesOf(issuer));
  const own = lists.flatMap((der) => {
    const crl = readCrl(der);
    return crl.ok && authority.ok && crl.value.issuer === authority.value.subject ? [{ der, number: crl.value.number }] : [];
  });
  const [newest] = own.toSorted((one, other) => (one.number < other.number ? 1 : -1));
  return newest === undefined ? [] : [Buffer.from(newest.der).toString('base64')];
}

/** What came, beside what is held: an older list takes nothing's place. */
export const newerList = (issuer: string, came: readonly string[], held: readonly string[]): readonly string[] =>
  newestList(issuer, [...came, ...held].map(bytesOf));

/** Our own newest list, if it is small enough to be sent. */
export const ownList = (issuer: string, { trust }: Pick<CardPorts, 'trust'>): readonly string[] =>
  newestList(
    issuer,
    trust().crls.filter(({ length }) => length <= CRL_SENT_BYTES_MAX),
  );

/**
 * Whether the leaf of a connection is that domain's broker under this authority: the whole path with name constraints, by the lists
 * that lie here and those that came. @returns SHA-256 of the authority
 */
export function judgeBroker(
  { trust, now }: CardPorts,
  leaf: string,
  {
    domain,
    issuer,
    crls,
    role,
  }: {
    readonly domain: TrustDomain;
    readonly issuer: string;
    readonly crls: readonly string[];
    readonly role: 'clientAuth' | 'serverAuth';
  },
): ServiceResult<Digest> {
  const authority = readCertificate(bytesOf(issuer));
  if (!authority.ok) return { ok: false, code: authority.code, text: authority.text };
  const store = trust();
  const came = newestList(issuer, crls.map(bytesOf)).map(bytesOf);
  const path = validatePath({
    ...store,
    crls: [...store.crls, ...came],
    chain: [leaf, issuer],
    at: now(),
    trustDomain: domain,
    spiffeId: brokerId(domain),
    purpose: role,
  });
  return path.ok
    ? { ok: true, value: authority.value.digest }
    : { ok: false, code: path.code, text: `the certificate of ${domain}: ${path.text}` };
}
