import {
  base64,
  byteCount,
  certificateChain,
  dataPath,
  digest,
  hostName,
  keyId,
  signedEvidence,
  text,
  timestamp,
  trustDomain,
  vmId,
} from '@carnet/events';
import { z } from 'zod';
import { fenceFacts, stepResult, vmState } from './result.ts';
import { commandId, setbackFields } from './scalars.ts';

const record = <S extends z.ZodRawShape>(shape: S) => z.strictObject(shape).readonly();

/** How far a long step is. Bytes: done so far, of a total; per second over the whole step. */
export const stepProgress = record({ doneBytes: byteCount, totalBytes: byteCount, bytesPerSecond: byteCount });
export type StepProgress = z.infer<typeof stepProgress>;

/** `command`: SHA-256 of the command's payload bytes, so that a reply answers exactly one command. */
const answers = { kind: z.literal('reply'), id: commandId, command: digest };

/**
 * An agent's answer. `refused`: a rule; nothing changed. `failed`: an accident; `retryable` says whether a higher attempt may
 * help. `running`: ask again with the same command.
 */
export const hostReply = z.discriminatedUnion('status', [
  record({ ...answers, status: z.literal('done'), result: stepResult, evidence: signedEvidence.optional() }),
  record({ ...answers, status: z.literal('running'), progress: stepProgress.optional() }),
  record({ ...answers, status: z.literal('failed'), ...setbackFields, retryable: z.boolean() }),
  record({ ...answers, status: z.literal('refused'), ...setbackFields, retryable: z.literal(false) }),
]);
export type HostReply = z.infer<typeof hostReply>;

export const hostCapacity = record({
  memoryMiBFree: byteCount,
  volumeBytesFree: byteCount,
  /** Room promised to migrations that have not arrived yet. */
  memoryMiBReserved: byteCount,
  volumeBytesReserved: byteCount,
});
export type HostCapacity = z.infer<typeof hostCapacity>;

/** Says who, what and how much this host is; every 10 s. `agent` changes with each start of the agent, and so does `publicKey`. */
export const hello = record({
  kind: z.literal('hello'),
  domain: trustDomain,
  host: hostName,
  time: timestamp,
  agent: z.uuid(),
  /** HPKE public key that secrets for this host are sealed to; its private half lives in the agent's memory only. */
  publicKey: base64.max(4_096),
  chain: certificateChain,
  dataPath,
  capacity: hostCapacity,
  libvirt: record({ connected: z.boolean(), version: z.string().max(32) }),
  vms: z
    .array(record({ vm: vmId, state: vmState, fence: fenceFacts.optional() }))
    .max(10_000)
    .readonly(),
  /** Running VMs whose ephemeral secrets libvirtd lost: the broker owes `provideSecrets`. */
  secretsMissing: z
    .array(record({ vm: vmId, keys: z.array(keyId).max(32).readonly() }))
    .max(10_000)
    .readonly(),
});
export type Hello = z.infer<typeof hello>;

/** Something that libvirt told the agent. Informs people; never evidence. */
export const notice = record({
  kind: z.literal('notice'),
  domain: trustDomain,
  host: hostName,
  time: timestamp,
  vm: vmId.optional(),
  event: z.enum(['started', 'stopped', 'crashed', 'paused', 'resumed', 'defined', 'undefined', 'libvirt-lost', 'libvirt-back']),
  detail: text,
});
export type Notice = z.infer<typeof notice>;

/** How far a step is, unasked. */
export const progressReport = record({
  kind: z.literal('progress'),
  domain: trustDomain,
  host: hostName,
  time: timestamp,
  id: commandId,
  command: digest,
  progress: stepProgress,
});

/** Payload of a DSSE envelope signed by the agent's X.509 leaf (`PAYLOAD_TYPES.report`). */
export const hostReport = z.union([hostReply, hello, notice, progressReport]);
export type HostReport = z.infer<typeof hostReport>;
