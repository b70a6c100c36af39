import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { type ConsentStatement, type DsseEnvelope, digest, PAYLOAD_TYPES, trustDomain, vmId } from '@carnet/events';
import type { Crypto } from '../index.ts';

// DSSE and Ed25519 by OpenSSL and these lines alone: a second opinion on what brokers and auditors do with `@carnet/trust`.

const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
/** DSSE 1.0.2, "PAE". */
const pae = (type: string, payload: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `), payload]);

/** A key that follows from a word: never trust it. */
export const keyOf = (word: string): KeyObject =>
  createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, createHash('sha256').update(word).digest()]),
    format: 'der',
    type: 'pkcs8',
  });
export const publicKeyOf = (key: KeyObject): string =>
  createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length).toString('base64');

export function signedBy(key: KeyObject, payloadType: string, statement: object | string): DsseEnvelope {
  const payload = Buffer.from(typeof statement === 'string' ? statement : JSON.stringify(statement));
  const keyid = sha256(Buffer.from(publicKeyOf(key), 'base64'));
  return {
    payloadType,
    payload: payload.toString('base64'),
    signatures: [{ keyid, sig: sign(null, pae(payloadType, payload), key).toString('base64') }],
  };
}

export const crypto: Crypto = {
  hash: (text) => digest.parse(sha256(text)),
  signed: ({ payloadType, payload, signatures }, type, publicKey) => {
    const raw = Buffer.from(publicKey, 'base64');
    const [signature] = signatures;
    if (payloadType !== type || signature?.keyid !== sha256(raw)) return undefined;
    const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: 'der', type: 'spki' });
    const bytes = Buffer.from(payload, 'base64');
    return verify(null, pae(type, bytes), key, Buffer.from(signature.sig, 'base64')) ? JSON.parse(bytes.toString()) : undefined;
  },
  unverified: ({ payload }) => JSON.parse(Buffer.from(payload, 'base64').toString()),
};

export const OWNER = keyOf('owner');
/** An owner's consent to what a test says, signed by whom it says. */
export const consentBy = (key: KeyObject, statement: object): DsseEnvelope => signedBy(key, PAYLOAD_TYPES.consent, statement);
export const consenting = (change: Partial<Record<keyof ConsentStatement, unknown>>): object => ({
  consents: 'migration',
  serial: '2026-11-0001',
  vm: vmId.parse('csp-a.example/1b4e28ba-2fa1-41d2-883f-0016d3cca427'),
  source: trustDomain.parse('csp-a.example'),
  target: trustDomain.parse('csp-b.example'),
  modes: ['cold'],
  notBefore: '2026-11-23T08:00:00.000Z',
  notAfter: '2026-11-23T12:00:00.000Z',
  ...change,
});

export const ACCREDITOR = keyOf('accreditor');
/** What an accreditor says of the target. */
export const accrediting = {
  accredits: 'csp',
  issuer: 'accreditor.example',
  subject: 'csp-b.example',
  claims: ['c5'],
  level: 3,
  serial: '1',
  notBefore: '2026-01-01T00:00:00.000Z',
  notAfter: '2027-01-01T00:00:00.000Z',
};
export const revoking = (key: KeyObject, number: number, serials: readonly string[]): DsseEnvelope =>
  signedBy(key, PAYLOAD_TYPES.accreditationRevocations, {
    revokes: 'accreditations',
    issuer: accrediting.issuer,
    number,
    serials,
  });
