import { z } from 'zod';
import { dsseEnvelope } from './dsse.ts';
import { CERTIFICATE_BASE64_MAX } from './limits.ts';
import { base64, epoch, hostName, migrationId, text, timestamp, trustDomain, vmId } from './scalars.ts';

/** What an agent can testify to. Each is an observation of its own host, never a wish. */
export const evidenceKind = z.enum([
  'stopped', // the domain is shut off, the fence register is at this epoch
  'saved', // as stopped; memory state sealed
  'surrendered', // register: surrendered; secret undefined; the host will not start this epoch
  'never', // register: never; no vCPU of this epoch ran, and none will
  'started', // the domain runs
  'healthy', // the guest showed life
  'rekeyed', // the volumes that arrived open with new keys only; no vCPU of this epoch ran yet
  'reencrypted', // the volumes have volume keys made here, after the VM was let run in this epoch
  'resumed', // the source's domain runs again
  'destroyed', // volumes, secrets, staging and register leftovers of this migration are gone
]);
export type EvidenceKind = z.infer<typeof evidenceKind>;

/** Payload of an evidence envelope, signed by the agent's X.509 key (RSASSA-PSS, SHA-256). */
export const evidence = z
  .strictObject({
    kind: evidenceKind,
    domain: trustDomain,
    host: hostName,
    vm: vmId,
    migration: migrationId,
    epoch,
    time: timestamp,
    /** libvirt's domain state and reason as virsh prints them, volume names, sizes: short facts. */
    facts: z.record(z.string().regex(/^[a-z][A-Za-z0-9]{0,39}$/), z.union([text, z.int(), z.boolean()])).readonly(),
  })
  .readonly();
export type Evidence = z.infer<typeof evidence>;

/**
 * Evidence as it travels inside an event. `certificate`: the leaf that signed it, DER; without it, the pinned one. An agent's leaf may
 * be renewed between agreement and testimony; whoever judges demands the same agent of the same host under the pinned intermediate.
 */
export const signedEvidence = dsseEnvelope
  .unwrap()
  .extend({ certificate: base64.max(CERTIFICATE_BASE64_MAX).optional() })
  .readonly();
export type SignedEvidence = z.infer<typeof signedEvidence>;
