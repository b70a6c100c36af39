import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { Digest, TrustDomain } from '@carnet/events';
import { sha256Hex } from '@carnet/trust';
import { CODE_DIGITS } from './limits.ts';

// Proofs as in SCRAM (RFC 5802, section 3), without salt and iterations: the secret is random. Whoever invited keeps only what
// verifies; whoever steals it can neither join nor learn the secret.

/** What the inviting side keeps of an invitation's secret. Hexadecimal. */
export interface Verifier {
  /** SHA-256 of the key by which the joining side proves itself. */
  readonly storedKey: string;
  /** Key by which the inviting side proves that it made the invitation. */
  readonly serverKey: string;
}

/** All that the two sides are to agree on, as each of them saw it. */
export interface Exchange {
  readonly invitation: string;
  readonly root: Digest;
  readonly inviter: Party;
  readonly joiner: Party;
  readonly bus: TrustDomain;
}
export interface Party {
  readonly domain: TrustDomain;
  /** SHA-256 of the authority that issues for it. */
  readonly issuer: Digest;
  /** Id of the event key that it introduces itself with. */
  readonly eventKey: Digest;
  readonly nonce: string;
}

const LABEL = 'carnet/peering/v1';
const hmac = (key: Uint8Array, text: string): Buffer => createHmac('sha256', key).update(text).digest();
const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
const clientKeyOf = (secret: Uint8Array): Buffer => hmac(secret, `${LABEL} joiner`);
const serverKeyOf = (secret: Uint8Array): Buffer => hmac(secret, `${LABEL} inviter`);
const isEqual = (one: Uint8Array, other: Uint8Array): boolean => one.length === other.length && timingSafeEqual(one, other);
const xor = (one: Uint8Array, other: Uint8Array): Uint8Array => one.map((byte, i) => byte ^ (other[i] ?? 0));

export const verifierOf = (secret: Uint8Array): Verifier => ({
  storedKey: sha256(clientKeyOf(secret)).toString('hex'),
  serverKey: serverKeyOf(secret).toString('hex'),
});

/** SHA-256 over everything, in one spelling: an array of texts in JSON has one reading. */
export function transcriptOf({ invitation, root, inviter, joiner, bus }: Exchange): Digest {
  const of = ({ domain, issuer, eventKey, nonce }: Party): readonly string[] => [domain, issuer, eventKey, nonce];
  return sha256Hex(Buffer.from(JSON.stringify([LABEL, invitation, root, bus, ...of(inviter), ...of(joiner)])));
}

/** The joining side's proof, which tells nothing of the secret, and is good for this transcript only. */
export function proofOf(secret: Uint8Array, transcript: Digest): string {
  const key = clientKeyOf(secret);
  return Buffer.from(xor(key, hmac(sha256(key), transcript))).toString('hex');
}

export function isProof({ storedKey }: Verifier, transcript: Digest, proof: string): boolean {
  const stored = Buffer.from(storedKey, 'hex');
  const key = xor(Buffer.from(proof, 'hex'), hmac(stored, transcript));
  return isEqual(sha256(key), stored);
}

/** The inviting side's proof, given only for one that was right. */
export const answerOf = ({ serverKey }: Verifier, transcript: Digest): string =>
  hmac(Buffer.from(serverKey, 'hex'), transcript).toString('hex');

export const isAnswer = (secret: Uint8Array, transcript: Digest, answer: string): boolean =>
  isEqual(hmac(serverKeyOf(secret), transcript), Buffer.from(answer, 'hex'));

/** What people compare by voice: thirty digits in groups of five, the same at both sides if and only if both saw the same. */
export function codeOf(transcript: Digest): string {
  const number = BigInt(`0x${sha256Hex(Buffer.from(`${LABEL} code ${transcript}`))}`) % 10n ** BigInt(CODE_DIGITS);
  return (number.toString().padStart(CODE_DIGITS, '0').match(/\d{5}/g) ?? []).join(' ');
}

/** As people type it: blanks and dashes mean nothing. */
export const isCode = (transcript: Digest, typed: string): boolean =>
  typed.replaceAll(/[\s-]/g, '') === codeOf(transcript).replaceAll(' ', '');
