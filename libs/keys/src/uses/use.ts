import { type Digest, digest, epoch, keyId, migrationId, timestamp, trustDomain, vmId } from '@carnet/events';
import { z } from 'zod';
import { digestOf, transcript } from '../bytes.ts';
import { hostPurpose } from '../vault/host.ts';

/** What is done with a key: given to a host for a purpose, handed over to a peer, split among custodians or recovered. */
export const useOperation = z.enum([...hostPurpose.options, 'deposit', 'release', 'import', 'escrow', 'recover']);
export type UseOperation = z.infer<typeof useOperation>;

/**
 * Why a key is used. `MIGRATION`: a step of the migration that the grant names. `SECRETS_LOST`: the host's libvirtd forgot them while the
 * VM is there. Images have keys of their own: `IMAGE_REGISTER` encrypts one, `IMAGE_COPY` fills a new VM's disk from it.
 */
export const useReason = z.enum(['MIGRATION', 'VM_CREATE', 'VM_START', 'SECRETS_LOST', 'IMAGE_REGISTER', 'IMAGE_COPY', 'ESCROW']);
export type UseReason = z.infer<typeof useReason>;

/** Where: the VM, and the host or the peer. */
export const useContext = z
  .strictObject({
    vm: vmId,
    host: z.string().optional(),
    peer: trustDomain.optional(),
    migration: migrationId.optional(),
    epoch: epoch.optional(),
  })
  .readonly();
export type UseContext = z.infer<typeof useContext>;

/** One record of the audit chain. `n`: 1, 2, 3… for the whole CSP. `prev`, `digest`: each covers all before it. */
export const keyUse = z
  .strictObject({
    n: z.int().min(1),
    at: timestamp,
    key: keyId,
    version: z.int().min(1),
    arrival: z.int().min(0),
    operation: useOperation,
    principal: z.string(),
    context: useContext,
    reason: useReason,
    prev: digest,
    digest,
  })
  .readonly();
export type KeyUse = z.infer<typeof keyUse>;

/** A record as its row has it: the context is text, and that very text is what the digest covers. */
export type UseLine = Omit<KeyUse, 'context' | 'digest' | 'key' | 'at' | 'operation' | 'reason' | 'prev'> & {
  readonly at: string;
  readonly key: string;
  readonly operation: string;
  readonly context: string;
  readonly reason: string;
  readonly prev: string;
};

export const useDigest = (use: UseLine): Digest =>
  digestOf(
    transcript('carnet/key-use/v1', [
      use.n,
      use.at,
      use.key,
      use.version,
      use.arrival,
      use.operation,
      use.principal,
      use.context,
      use.reason,
      use.prev,
    ]),
  );
