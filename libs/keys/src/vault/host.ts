import { keyId, trustDomain, vmId } from '@carnet/events';
import { z } from 'zod';
import { fromBase64, joinSecret, sha256, toBase64, transcript, wiper } from '../bytes.ts';
import { KEY_BYTES } from '../limits.ts';
import type { Custody } from './custody.ts';
import { UNUSED_EXPORT } from './deposit.ts';
import { openDek, type TenantKeks, type WrappedDek } from './hierarchy.ts';
import { openBase, SUITE, sealBase } from './hpke.ts';
import { refuse, type VaultResult } from './refusal.ts';

/**
 * Why a host gets a key. `run`: the VM's disks and its vTPM are opened; `trial-unlock`: does the header open, nothing else; `rekey`: one
 * passphrase takes another's place before the VM runs; `seal`, `unseal`: memory
 * or NVRAM state is encrypted or decrypted.
 */
export const hostPurpose = z.enum(['run', 'trial-unlock', 'rekey', 'seal', 'unseal']);
export type HostPurpose = z.infer<typeof hostPurpose>;

/** To whom and for what. `epoch` 0: the VM never moved. All of it is bound into the ciphertext. */
export const hostContext = z
  .strictObject({
    domain: trustDomain,
    host: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/),
    vm: vmId,
    epoch: z.int().min(0),
    purpose: hostPurpose,
  })
  .readonly();
export type HostContext = z.infer<typeof hostContext>;

/** Keys on their way to an agent over an untrusted bus. The bus learns which keys, never their bytes. */
export const sealedForHost = z
  .strictObject({
    keys: z
      .array(z.strictObject({ key: keyId, version: z.int().min(1) }).readonly())
      .min(1)
      .max(32)
      .readonly(),
    enc: z.base64().max(4_096),
    ct: z.base64().max(4_096),
  })
  .readonly();
export type SealedForHost = z.infer<typeof sealedForHost>;

const HOST_INFO = Buffer.from('carnet/host/v1');

const hostContextDigest = (context: HostContext, keys: SealedForHost['keys']): Buffer =>
  sha256(
    transcript('carnet/context/host/v1', [
      SUITE,
      context.domain,
      context.host,
      context.vm,
      context.epoch,
      context.purpose,
      ...keys.flatMap((k) => [k.key, k.version]),
    ]),
  );

export async function sealForHost(
  custody: Custody,
  input: {
    readonly context: HostContext;
    readonly publicKey: string;
    readonly keks: TenantKeks;
    readonly deks: readonly WrappedDek[];
  },
): Promise<VaultResult<SealedForHost>> {
  using wipe = wiper();
  const plain: Buffer[] = [];
  for (const dek of input.deks) {
    const opened = await openDek(custody, input.keks, dek, wipe);
    if (!opened.ok) return opened;
    plain.push(opened.value);
  }
  const keys = input.deks.map(({ key, version }) => ({ key, version }));
  const h = hostContextDigest(input.context, keys);
  const to = {
    publicKey: fromBase64(input.publicKey),
    info: Buffer.concat([HOST_INFO, h]),
    aad: h,
    exporterContext: UNUSED_EXPORT,
  };
  const sealed = await sealBase(to, wipe.keep(joinSecret(plain)));
  if (sealed === undefined) return refuse('PUBLIC_KEY_INVALID');
  return { ok: true, value: { keys, enc: toBase64(sealed.enc), ct: toBase64(sealed.ct) } };
}

/** In the agent. The caller owns the returned buffers and zeroes them. */
export async function openForHost(
  privateKey: Uint8Array,
  context: HostContext,
  sealed: SealedForHost,
): Promise<VaultResult<readonly { readonly key: z.infer<typeof keyId>; readonly version: number; readonly dek: Buffer }[]>> {
  using wipe = wiper();
  const h = hostContextDigest(context, sealed.keys);
  const by = { privateKey, info: Buffer.concat([HOST_INFO, h]), aad: h, exporterContext: UNUSED_EXPORT };
  const opened = await openBase(by, { enc: fromBase64(sealed.enc), ct: fromBase64(sealed.ct) });
  if (opened === undefined) return refuse('HOST_CONTEXT_MISMATCH');
  const plain = wipe.keep(opened.plaintext);
  if (plain.length !== sealed.keys.length * KEY_BYTES) return refuse('HOST_SEAL_INVALID');
  const value = sealed.keys.map(({ key, version }, i) => ({
    key,
    version,
    dek: joinSecret([plain.subarray(i * KEY_BYTES, (i + 1) * KEY_BYTES)]),
  }));
  return { ok: true, value };
}
