import { z } from 'zod';
import { EVENT_BYTES_MAX } from './limits.ts';
import { base64 } from './scalars.ts';

/** Payload types (DSSE 1.0.2, section "Payload type"): one for each kind of thing that Carnet signs. */
export const PAYLOAD_TYPES = {
  event: 'application/vnd.carnet.event.v1+json',
  request: 'application/vnd.carnet.request.v1+json',
  approval: 'application/vnd.carnet.approval.v1+json',
  accreditation: 'application/vnd.carnet.accreditation.v1+json',
  accreditationRevocations: 'application/vnd.carnet.accreditation-revocations.v1+json',
  consent: 'application/vnd.carnet.consent.v1+json',
  evidence: 'application/vnd.carnet.evidence.v1+json',
  peerMessage: 'application/vnd.carnet.peer-message.v1+json',
  command: 'application/vnd.carnet.command.v1+json',
  report: 'application/vnd.carnet.report.v1+json',
  /** A broker's leave to run one VM on one host in one epoch, kept by that host for libvirt's hook. */
  runPermit: 'application/vnd.carnet.run-permit.v1+json',
  keyChange: 'application/vnd.carnet.key-change.v1+json',
  /** What people and their CSP say of escrows: sealing keys, shares, drills, recoveries. */
  escrow: 'application/vnd.carnet.escrow.v1+json',
  /** What persons and the owner say before the source may run again without the target's word. */
  breakGlass: 'application/vnd.carnet.break-glass.v1+json',
  /** One revocation list, in DER, as a broker tells its hosts. */
  crl: 'application/vnd.carnet.crl.v1+der',
} as const;
export type PayloadType = (typeof PAYLOAD_TYPES)[keyof typeof PAYLOAD_TYPES];

/** A DSSE envelope. Two signatures at most: Ed25519 (or RSA-PSS for X.509 identities), and room for ML-DSA. */
export const dsseEnvelope = z
  .strictObject({
    payloadType: z.string().max(128),
    payload: base64.max(EVENT_BYTES_MAX * 2),
    signatures: z
      .array(z.strictObject({ keyid: z.string().max(128), sig: base64.max(8_192) }).readonly())
      .min(1)
      .max(2)
      .readonly(),
  })
  .readonly();
export type DsseEnvelope = z.infer<typeof dsseEnvelope>;
