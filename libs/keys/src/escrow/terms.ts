import {
  artifactId,
  artifactKind,
  byteCount,
  depositedKey,
  digest,
  ESCROW_CUSTODIANS_MAX,
  escrowId,
  keyId,
  personOf,
  spiffeId,
  trustDomain,
  vmId,
} from '@carnet/events';
import { z } from 'zod';
import { sha256, transcript } from '../bytes.ts';
import { ESCROW_THRESHOLD_MIN } from '../limits.ts';
import { tenant } from '../vault/hierarchy.ts';
import { SUITE } from '../vault/hpke.ts';

/** A custodian and the SHA-256 of the sealing key that the share is sealed to. */
const seat = z.strictObject({ custodian: spiffeId, sealingKey: digest }).readonly();

/** What an escrow is of, who holds it and how many must agree. Nothing secret. The place in `seats`, from 1, is a share's index. */
export const escrowTerms = z
  .strictObject({
    csp: trustDomain,
    escrow: escrowId,
    key: keyId,
    version: z.int().min(1),
    arrival: z.int().min(0),
    tenant,
    vm: vmId,
    artifact: artifactId,
    kind: artifactKind,
    derivation: depositedKey.unwrap().shape.derivation,
    capacityBytes: byteCount,
    headerDigest: digest.optional(),
    threshold: z.int().min(ESCROW_THRESHOLD_MIN),
    seats: z
      .array(seat)
      .max(ESCROW_CUSTODIANS_MAX)
      .refine((seats) => isEachOnce(seats.map(({ custodian }) => personOf(custodian))), 'expected each person once')
      .refine((seats) => isEachOnce(seats.map(({ sealingKey }) => sealingKey)), 'expected each sealing key once')
      .readonly(),
  })
  .refine(({ threshold, seats }) => threshold <= seats.length, 'expected at least as many custodians as must agree')
  .readonly();
export type EscrowTerms = z.infer<typeof escrowTerms>;
export type Seat = EscrowTerms['seats'][number];

const isEachOnce = (names: readonly string[]): boolean => new Set(names).size === names.length;

/** C of an escrow, 32 bytes: bound into the wrapped key, each sealing, each share's key and each proof. */
export const escrowContext = (t: EscrowTerms): Buffer =>
  sha256(
    transcript('carnet/context/escrow/v1', [
      SUITE,
      t.csp,
      t.escrow,
      t.key,
      t.version,
      t.arrival,
      t.tenant,
      t.vm,
      t.artifact,
      t.kind,
      t.derivation,
      t.capacityBytes,
      t.headerDigest ?? '',
      t.threshold,
      t.seats.length,
      ...t.seats.flatMap(({ custodian, sealingKey }) => [custodian, sealingKey]),
    ]),
  );
