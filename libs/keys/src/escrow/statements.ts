import {
  base64,
  type Digest,
  type DsseEnvelope,
  digest,
  drillId,
  dsseEnvelope,
  escrowId,
  PAYLOAD_TYPES,
  recoveryId,
  type SpiffeId,
  spiffeId,
  text,
  timestamp,
} from '@carnet/events';
import { openEnvelope, parseStrictJson, type Signer, signEnvelope, type Verifier } from '@carnet/trust';
import { z } from 'zod';
import { digestOf } from '../bytes.ts';
import { hostKeyText } from '../context.ts';
import { refusal } from '../refusal.ts';
import { ok, type Result } from '../result.ts';
import { publishedShare, sealedShare } from '../vault/share.ts';
import { escrowTerms } from './terms.ts';

const reason = text.min(1);

/** A custodian's sealing key. An X.509 leaf signs; what opens shares is a KEM key, which no leaf can hold: so the leaf vouches for it. */
export const sealingKey = z
  .strictObject({ kind: z.literal('sealing-key'), custodian: spiffeId, publicKey: hostKeyText, at: timestamp })
  .readonly();

export type SealingKey = z.infer<typeof sealingKey>;

/** What the CSP says of an escrow as it was dealt. `shares` in the order of the terms' seats. */
export const manifest = z
  .strictObject({
    kind: z.literal('escrow'),
    terms: escrowTerms,
    package: base64.max(256),
    shares: z.array(publishedShare).readonly(),
    by: z.string().max(400),
    reason,
    at: timestamp,
  })
  .refine(({ terms, shares }) => terms.seats.length === shares.length, 'expected one share for each seat')
  .readonly();
export type Manifest = z.infer<typeof manifest>;

/** What the CSP asks all custodians of an escrow to prove. */
export const drill = z
  .strictObject({
    kind: z.literal('drill'),
    drill: drillId,
    escrow: escrowId,
    manifest: digest,
    challenge: base64.length(44),
    by: z.string().max(400),
    reason,
    notAfter: timestamp,
    at: timestamp,
  })
  .readonly();
export type Drill = z.infer<typeof drill>;

export const proof = z
  .strictObject({
    kind: z.literal('proof'),
    drill: drillId,
    /** Digest of the CSP's signed drill. */
    asked: digest,
    custodian: spiffeId,
    proof: base64.length(88),
    at: timestamp,
  })
  .readonly();

/** Who asks for a recovery, signed by that person. */
export const ask = z
  .strictObject({
    kind: z.literal('recovery-ask'),
    recovery: recoveryId,
    escrow: escrowId,
    manifest: digest,
    asker: spiffeId,
    reason,
    notAfter: timestamp,
    at: timestamp,
  })
  .readonly();
export type Ask = z.infer<typeof ask>;

/** The CSP's own word on it: the ask, and the key of its key manager that shares are to be sealed to. */
export const request = z
  .strictObject({ kind: z.literal('recovery-request'), ask: digest, said: ask, publicKey: hostKeyText, at: timestamp })
  .readonly();
export type Request = z.infer<typeof request>;

/** A custodian agrees, and gives the share, sealed to the key of exactly this request. */
export const approval = z
  .strictObject({
    kind: z.literal('recovery-approval'),
    recovery: recoveryId,
    /** Digest of the CSP's signed request. */
    request: digest,
    custodian: spiffeId,
    reason,
    share: sealedShare,
    at: timestamp,
  })
  .readonly();
export type Approval = z.infer<typeof approval>;

/** How a drill ended, or that a key was recovered: the CSP's word, with digests of what it rests on. */
export const conclusion = z
  .strictObject({
    kind: z.literal('drill-conclusion'),
    drill: drillId,
    proven: z.array(spiffeId).readonly(),
    failed: z.array(spiffeId).readonly(),
    proofs: z.array(digest).readonly(),
    by: z.string().max(400),
    at: timestamp,
  })
  .readonly();
export type Conclusion = z.infer<typeof conclusion>;

export const recovered = z
  .strictObject({
    kind: z.literal('key-recovered'),
    recovery: recoveryId,
    request: digest,
    approvals: z.array(digest).readonly(),
    by: z.string().max(400),
    at: timestamp,
  })
  .readonly();

/** A person's statement as it comes: the envelope, and the leaf (DER, base64) that signed it. */
export const said = z.strictObject({ envelope: dsseEnvelope, certificate: base64.max(8_192) }).readonly();
export type Said = z.infer<typeof said>;

/** Who holds a certificate of this CSP, valid now; whoever calls has the trust store. */
export type Identify = (
  certificate: string,
) => { readonly spiffeId: SpiffeId; readonly leafDigest: Digest; readonly verifier: Verifier } | undefined;

export type Heard<T> = { readonly said: T; readonly signer: SpiffeId; readonly digest: Digest; readonly envelope: string };

/** Signs a statement; exactly this text is stored, sent and digested. */
export const signStatement = (statement: object, signer: Signer): string =>
  Buffer.from(signEnvelope(PAYLOAD_TYPES.escrow, Buffer.from(JSON.stringify(statement)), signer)).toString('utf8');

/** The statement of a person, once certificate, signature and schema have passed. Nothing of it is believed before. */
export function hear<T>(schema: z.ZodType<T>, { envelope, certificate }: Said, identify: Identify): Result<Heard<T>> {
  const identity = identify(certificate);
  if (identity === undefined) return refusal('CUSTODIAN_REFUSED', { about: 'the certificate' });
  const { leafDigest, verifier, spiffeId: signer } = identity;
  const read = readStatement(schema, envelope, (keyid) => (keyid === leafDigest ? verifier : undefined));
  return read.ok ? ok({ ...read.value, signer }) : read;
}

export function readStatement<T>(
  schema: z.ZodType<T>,
  envelope: DsseEnvelope,
  verifierOf: (keyid: string) => Verifier | undefined,
): Result<Omit<Heard<T>, 'signer'>> {
  const written = JSON.stringify(envelope);
  const opened = openEnvelope(Buffer.from(written), PAYLOAD_TYPES.escrow, verifierOf);
  if (!opened.ok) return refusal('CUSTODIAN_REFUSED', { about: opened.code });
  const json = parseStrictJson(opened.value.payload);
  const parsed = json.ok ? schema.safeParse(json.value) : undefined;
  if (parsed?.success !== true) return refusal('STATEMENT_INVALID');
  return ok({ said: parsed.data, digest: opened.value.digest, envelope: written });
}

/** The payload of an envelope that was verified, or made, before it was stored. */
export const payloadOf = (envelope: DsseEnvelope): unknown =>
  JSON.parse(Buffer.from(envelope.payload, 'base64').toString('utf8'));

export const statementDigest = (envelope: string): Digest => digestOf(Buffer.from(envelope));
