import { z } from 'zod';
import { CERTIFICATE_BASE64_MAX, CHAIN_CERTIFICATES_MAX, TEXT_CHARS_MAX } from './limits.ts';

/** A CSP's SPIFFE trust domain: a lowercase DNS name. No underscore, so `.` → `_` in subjects is injective. */
export const trustDomain = z
  .string()
  .max(253)
  .regex(
    /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/,
    'expected a trust domain, e.g. csp-a.example',
  )
  .brand<'TrustDomain'>();
export type TrustDomain = z.infer<typeof trustDomain>;

/** SHA-256 in lowercase hexadecimal. */
export const digest = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'expected a SHA-256 digest: 64 lowercase hexadecimal digits')
  .brand<'Digest'>();
export type Digest = z.infer<typeof digest>;

/** `prev` of a ledger's first event. */
export const GENESIS: Digest = digest.parse('0'.repeat(64));

/** UUIDv7 (RFC 9562, section 5.7), lowercase. */
export const uuidV7 = z
  .string()
  .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/, 'expected a UUIDv7 in lowercase');
/** Any UUID of RFC 9562, lowercase. */
const uuid = z
  .string()
  .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/, 'expected a UUID in lowercase');

export const eventId = uuidV7.brand<'EventId'>();
export type EventId = z.infer<typeof eventId>;
export const migrationId = uuidV7.brand<'MigrationId'>();
export type MigrationId = z.infer<typeof migrationId>;
export const keyId = uuid.brand<'KeyId'>();
export type KeyId = z.infer<typeof keyId>;
/** A disk's (or memory state's, NVRAM's, vTPM's) identity; it stays the same at every CSP. */
export const artifactId = uuid.brand<'ArtifactId'>();
export type ArtifactId = z.infer<typeof artifactId>;

/** `<home domain>/<libvirt UUID>`: the VM's identity wherever it runs. */
export const vmId = z
  .string()
  .max(300)
  .regex(
    /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?\/[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    'expected <home domain>/<uuid>',
  )
  .brand<'VmId'>();
export type VmId = z.infer<typeof vmId>;

/** Ownership generation of one VM: 1, 2, 3… */
export const epoch = z.int().min(1).brand<'Epoch'>();
export type Epoch = z.infer<typeof epoch>;

/** Position in a ledger: a decimal string from 1, at most 2^53 − 1 (JSON numbers are not trusted with it). */
export const seq = z
  .string()
  .regex(/^[1-9][0-9]{0,15}$/)
  .refine((text) => Number.isSafeInteger(Number(text)))
  .brand<'Seq'>();
export type Seq = z.infer<typeof seq>;

/** RFC 3339, UTC, milliseconds, exactly 24 characters: comparable as text. */
export const timestamp = z
  .string()
  .regex(
    /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/,
    'expected a time as 2026-11-23T12:00:00.000Z',
  )
  .brand<'Timestamp'>();
export type Timestamp = z.infer<typeof timestamp>;

/** RFC 4648 base64 with padding. */
export const base64 = z.string().regex(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/);

/** The 32 bytes of an Ed25519 public key (RFC 8032, section 5.1.5), in the one base64 spelling. */
export const ed25519PublicKey = z.string().regex(/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/, 'expected 32 bytes in base64');

/** `spiffe://csp-a.example/broker`: SPIFFE ID, paths of lowercase segments. */
export const spiffeId = z
  .string()
  .max(400)
  .regex(/^spiffe:\/\/([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?(\/[a-z0-9._-]+)+$/)
  .brand<'SpiffeId'>();
export type SpiffeId = z.infer<typeof spiffeId>;

/** A host's name inside its CSP: one DNS label. */
export const hostName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
  .brand<'HostName'>();
export type HostName = z.infer<typeof hostName>;

/** Text for people: printable, one line, so that it cannot forge log lines or terminal output. */
export const text = z
  .string()
  .max(TEXT_CHARS_MAX)
  .regex(/^[^\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]*$/);

/** A stable code: UPPER_SNAKE. */
export const code = z.string().regex(/^[A-Z][A-Z0-9_]{2,63}$/);

/** DER certificates in base64, leaf first, root excluded. */
export const certificateChain = z.array(base64.max(CERTIFICATE_BASE64_MAX)).min(1).max(CHAIN_CERTIFICATES_MAX).readonly();

/** Bytes as a safe integer: no floats reach a ledger. */
export const byteCount = z.int().min(0);
