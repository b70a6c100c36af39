import { z } from 'zod';
import { digest, epoch, timestamp, trustDomain, vmId } from './scalars.ts';
import { isSet, migrationMode } from './vm.ts';

/**
 * What the owner of a VM signs: this machine may go from here to there, so, between these times. Signed in DSSE by the Ed25519 key that
 * the VM's restrictions name, wherever the owner keeps it.
 */
export const consentStatement = z
  .strictObject({
    consents: z.literal('migration'),
    /** The owner's own number for it. */
    serial: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/),
    vm: vmId,
    /** SHA-256 over the VM as it is moved: its spec without restrictions, in its one spelling. Other disks, keys or boot: another image. */
    image: digest,
    source: trustDomain,
    target: trustDomain,
    modes: z.array(migrationMode).min(1).readonly().refine(isSet, 'expected sorted modes, each once'),
    notBefore: timestamp,
    /** The keys are released before it, or not at all. */
    notAfter: timestamp,
    /** Only for the attempt of this epoch; absent: for every attempt between the two times. */
    epoch: epoch.optional(),
  })
  .readonly();
export type ConsentStatement = z.infer<typeof consentStatement>;
