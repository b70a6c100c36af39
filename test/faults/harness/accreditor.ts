import { generateKeyPairSync } from 'node:crypto';
import { PAYLOAD_TYPES } from '@carnet/events';
import { ed25519Signer, type Signer, signEnvelope } from '@carnet/trust';
import { CSP_A, CSP_B, type CspPlan } from '../../../infra/dev/src/clouds/layout.ts';

/** Whose word both clouds accept; whoever it is, he is offline while they decide. */
export const ISSUER = 'accreditor.example';
const newKey = () => ed25519Signer(generateKeyPairSync('ed25519').privateKey);
const accreditor = newKey();

/** A statement of somebody beside the brokers, in its own signature. */
const signedBy = (by: Signer, type: string, statement: object): unknown =>
  JSON.parse(Buffer.from(signEnvelope(type, Buffer.from(JSON.stringify(statement)), by)).toString());

const accredited = (subject: string, claim: string, by = accreditor): unknown =>
  signedBy(by, PAYLOAD_TYPES.accreditation, {
    accredits: 'csp',
    issuer: ISSUER,
    subject,
    claims: [claim],
    serial: `${subject}.${claim}`,
    notBefore: '2026-01-01T00:00:00.000Z',
    notAfter: '2036-01-01T00:00:00.000Z',
  });

/** Files of a set: A knows its own token, and B's, of which one is good, one was revoked, and one was signed by B itself. */
export function accreditationFiles({ domain }: CspPlan): Readonly<Record<string, string>> {
  const target = CSP_B.domain;
  const revocations = signedBy(accreditor, PAYLOAD_TYPES.accreditationRevocations, {
    revokes: 'accreditations',
    issuer: ISSUER,
    number: 2,
    serials: [`${target}.old`],
  });
  const known = [
    accredited(CSP_A.domain, 'c5'),
    accredited(target, 'c5'),
    accredited(target, 'old'),
    accredited(target, 'forged', newKey()),
  ];
  const publicKey = Buffer.from(accreditor.publicKey).toString('base64');
  return {
    'accreditors.json': JSON.stringify([{ issuer: ISSUER, publicKey, revocations }]),
    'accreditations.json': JSON.stringify(domain === target ? [] : known),
  };
}
