import { z } from 'zod';
import { policyDecision } from './data-policy.ts';
import { dsseEnvelope } from './dsse.ts';
import { ACCREDITATIONS_MAX, APPROVALS_MAX } from './limits.ts';
import { reason, reasons } from './reason.ts';
import { rekeyMethod } from './rekey.ts';
import { requestRecord } from './request.ts';
import { base64, certificateChain, digest, hostName, seq, text, timestamp, trustDomain, vmId } from './scalars.ts';
import { migrationMode, vmSpec } from './vm.ts';

/** Where a source agent serves ciphertext, and the name its certificate must carry. */
export const dataPath = z
  .strictObject({
    address: z
      .string()
      .max(253)
      .regex(/^[A-Za-z0-9.:-]+$/),
    port: z.int().min(1).max(65_535),
    serverName: z
      .string()
      .max(253)
      .regex(/^[a-z0-9.-]+$/),
  })
  .readonly();
export type DataPath = z.infer<typeof dataPath>;

/** An agent, pinned: its host and the chain whose leaf must appear on the data path and under its evidence. */
export const pinnedAgent = z.strictObject({ host: hostName, chain: certificateChain }).readonly();
export type PinnedAgent = z.infer<typeof pinnedAgent>;

/** First event of every ledger, and each key rotation. `signature`: RSASSA-PSS/SHA-256 by the leaf of `chain` over `keyAnnouncementBytes`. */
export const keyAnnounced = z
  .strictObject({
    keyid: digest,
    algorithm: z.literal('Ed25519'),
    publicKey: base64.max(64),
    notBefore: timestamp,
    chain: certificateChain,
    signature: base64.max(1_024),
  })
  .readonly();

/** Ends a key: the last sequence that it may have signed. Signed by the X.509 identity as in `keyAnnounced`. */
export const keyRevoked = z
  .strictObject({ keyid: digest, lastSeq: seq, reason, chain: certificateChain, signature: base64.max(1_024) })
  .readonly();

export const migrationIntended = z
  .strictObject({
    vm: vmId,
    source: trustDomain,
    target: trustDomain,
    mode: migrationMode,
    /** The least that the target must do on arrival; absent: nothing is demanded. A weaker offer is void. */
    rekey: rekeyMethod.optional(),
    spec: vmSpec,
    request: requestRecord,
    /** Second persons who agreed, each in an own signature over an `ApprovalStatement`, or vouched for as the asker is. */
    approvals: z.array(requestRecord).min(1).max(APPROVALS_MAX).readonly().optional(),
    /** The owner's `ConsentStatement`, if the VM has one. */
    consent: dsseEnvelope.optional(),
    /** The source's own `AccreditationStatement`s: the target judges which of them it believes. */
    accreditations: z.array(dsseEnvelope).min(1).max(ACCREDITATIONS_MAX).readonly().optional(),
    policy: policyDecision,
    /** No offer counts after this time; compared with the offer's own time. */
    offerBy: timestamp,
    /** Before release, either side gives up after this time. */
    deadline: timestamp,
  })
  .readonly();

/** HPKE KEM ids (RFC 9180, section 7.1): X25519 + ML-KEM-768, and DHKEM(P-256, HKDF-SHA256) for private keys that stay in a token. */
export const hpkeKem = z.enum(['0x647a', '0x0010']);
export type HpkeKem = z.infer<typeof hpkeKem>;

export const migrationOffered = z
  .strictObject({
    intent: digest,
    policy: policyDecision,
    agent: pinnedAgent,
    kem: hpkeKem,
    /** `pkB`: one per migration, its private half is destroyed at import. */
    publicKey: base64.max(4_096),
    /** The capacity reservation lasts until this time. */
    until: timestamp,
    /** What the target will do on arrival; absent: `none`. */
    rekey: rekeyMethod.optional(),
  })
  .readonly();

export const migrationRefused = z
  .strictObject({ intent: digest, reasons, policy: policyDecision.optional(), alternative: text.optional() })
  .readonly();

export const offerAgreed = z.strictObject({ offer: digest, agent: pinnedAgent, dataPath }).readonly();
