import {
  ACCREDITORS_MAX,
  type AccreditationRevocations,
  accreditationRevocations,
  accreditorName,
  type DsseEnvelope,
  dsseEnvelope,
  ed25519PublicKey,
  PAYLOAD_TYPES,
} from '@carnet/events';
import { z } from 'zod';
import type { Crypto } from './crypto.ts';
import { ACCREDITATIONS_KNOWN_MAX } from './limits.ts';

/** `accreditors.json`: whose word on other CSPs counts here, each with its newest signed list of what it revoked. */
export const accreditorsFile = z
  .array(z.strictObject({ issuer: accreditorName, publicKey: ed25519PublicKey, revocations: dsseEnvelope }).readonly())
  .max(ACCREDITORS_MAX)
  .readonly();
/** `accreditations.json`: tokens that this CSP knows, its own and its peers'. */
export const accreditationsFile = z.array(dsseEnvelope).max(ACCREDITATIONS_KNOWN_MAX).readonly();

export type Accreditor = {
  readonly issuer: string;
  readonly publicKey: string;
  readonly revoked: AccreditationRevocations;
};
/** What a set says of accreditations. */
export type Accreditations = { readonly accreditors: readonly Accreditor[]; readonly known: readonly DsseEnvelope[] };

/** Sorted by name; `undefined` with a fault if one stands there twice or its list is not its own. */
export function readAccreditors(
  crypto: Crypto,
  file: z.output<typeof accreditorsFile>,
): { readonly ok: true; readonly value: readonly Accreditor[] } | { readonly ok: false; readonly text: string } {
  const read: Accreditor[] = [];
  for (const { issuer, publicKey, revocations } of file) {
    const revoked = accreditationRevocations.safeParse(
      crypto.signed(revocations, PAYLOAD_TYPES.accreditationRevocations, publicKey),
    ).data;
    if (revoked?.issuer !== issuer) return { ok: false, text: `the list of ${issuer} is not signed by it` };
    if (read.some((one) => one.issuer === issuer)) return { ok: false, text: `${issuer} stands there twice` };
    read.push({ issuer, publicKey, revoked });
  }
  return { ok: true, value: read.toSorted((a, b) => (a.issuer < b.issuer ? -1 : 1)) };
}
