import {
  type DepositedKey,
  depositedKey,
  digest,
  epoch,
  migrationId,
  timestamp,
  trustDomain,
  type VerifiedRoots,
  vmId,
} from '@carnet/events';
import { z } from 'zod';
import { fromBase64, sha256, transcript } from './bytes.ts';
import { KEM_PUBLIC_KEY_BYTES, P256_POINT_BYTES } from './limits.ts';
import { suiteOf } from './vault/hpke.ts';

/** Exactly so many bytes, in their one spelling: the text's length alone cannot tell up to two bytes more. */
const base64Of = (bytes: number) =>
  z.base64().refine((text) => {
    const decoded = Buffer.from(text, 'base64');
    return decoded.byteLength === bytes && decoded.toString('base64') === text;
  }, `expected ${bytes} bytes in base64`);
/** An HPKE public key of KEM 0x647a in base64: a host's, a custodian's, a recovery's. Escrows know no other KEM. */
export const hostKeyText = base64Of(KEM_PUBLIC_KEY_BYTES);
/** A migration's: of that KEM or, in profile `hsm`, of 0x0010. */
export const publicKeyText = z.union([hostKeyText, base64Of(P256_POINT_BYTES)]);

/**
 * What both sides know of a hand-over from the placed events, each from its own ledgers: `intent`, `offer` and `agreed` are digests of
 * event envelopes, `publicKey` is `pkB` of the offer, `notAfter` the deposit's validity.
 */
export const handover = z
  .strictObject({
    migration: migrationId,
    epoch,
    vm: vmId,
    source: trustDomain,
    target: trustDomain,
    intent: digest,
    offer: digest,
    agreed: digest,
    publicKey: publicKeyText,
    notAfter: timestamp,
  })
  .readonly();
export type Handover = z.infer<typeof handover>;

/** A key as the context binds it: all of a deposited key but its ciphertext. */
export const boundKey = z.strictObject(depositedKey.unwrap().shape).omit({ enc: true, ct: true }).readonly();
export type BoundKey = z.infer<typeof boundKey>;

/** How keys of each kind of artifact become what opens it. The record says so, since a raw key without its derivation is not portable. */
export const DERIVATIONS: Readonly<Record<BoundKey['kind'], BoundKey['derivation']>> = {
  disk: 'luks-passphrase-hex',
  memory: 'aes-256-gcm-stream',
  nvram: 'aes-256-gcm-stream',
  vtpm: 'swtpm-passphrase-hex',
};

export const boundKeyOf = ({ enc: _enc, ct: _ct, ...bound }: DepositedKey): BoundKey => bound;

const agreementOf = (h: Handover): readonly (string | number | Uint8Array)[] => [
  suiteOf(fromBase64(h.publicKey)),
  h.migration,
  h.epoch,
  h.source,
  h.target,
  h.vm,
  h.intent,
  h.offer,
  h.agreed,
  h.notAfter,
  sha256(fromBase64(h.publicKey)),
];

/** The context bytes of one key (protocol, section 6). Each side makes them from its own ledgers; they are never sent. */
export const keyContextBytes = (h: Handover, key: BoundKey): Buffer =>
  transcript('carnet/context/key/v1', [
    ...agreementOf(h),
    key.key,
    key.version,
    key.artifact,
    key.kind,
    key.derivation,
    key.capacityBytes,
    key.headerDigest ?? '',
  ]);

/** C of one key: under it the DEK is sealed. 32 bytes. */
export const keyContext = (h: Handover, key: BoundKey): Buffer => sha256(keyContextBytes(h, key));

/** The context bytes of the deposit: those of every key, in order, so that none can be left out or added at release. */
export const depositContextBytes = (h: Handover, keys: readonly BoundKey[]): Buffer =>
  transcript('carnet/context/deposit/v1', [...agreementOf(h), ...keys.map((key) => keyContext(h, key))]);

/** C of the deposit: under it Krel is committed to and released. 32 bytes. */
export const depositContext = (h: Handover, keys: readonly BoundKey[]): Buffer => sha256(depositContextBytes(h, keys));

/** aad of the release: C ‖ final roots ‖ SHA-256(DepositAcknowledged). */
export const releaseAad = (c: Uint8Array, roots: VerifiedRoots, acknowledged: string): Buffer =>
  transcript('carnet/release/v1', [c, ...roots.flatMap((r) => [r.artifact, r.root]), Buffer.from(acknowledged, 'hex')]);
