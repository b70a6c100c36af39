import type { Channel } from './channel.ts';
import type { CallOptions } from './deadline.ts';
import { DEFINE_FLAGS, type Flags, flagWord, SECRET_LIST_FLAGS } from './flags.ts';
import { readSecret, type Secret, type SecretUsage, usageNumber, writeSecret } from './handles.ts';
import { SECRET_BYTES_MAX } from './limits.ts';
import { done, listOf, quick } from './procedure.ts';

const P = {
  lookupByUuid: quick(141, 'secret lookup by uuid', (w, uuid: string) => w.uuid(uuid), readSecret),
  defineXml: quick(142, 'secret define', (w, xml: string, flags: number) => w.string(xml).uint(flags), readSecret),
  getXml: quick(
    143,
    'secret XML',
    (w, secret: Secret) => writeSecret(w, secret).uint(0),
    (r) => r.string(),
  ),
  setValue: quick(
    144,
    'secret set value',
    (w, secret: Secret, value: Uint8Array) => writeSecret(w, secret).opaque(value, SECRET_BYTES_MAX).uint(0),
    done,
  ),
  getValue: quick(
    145,
    'secret get value',
    (w, secret: Secret) => writeSecret(w, secret).uint(0),
    (r) => r.opaque(SECRET_BYTES_MAX),
  ),
  undefine: quick(146, 'secret undefine', writeSecret, done),
  lookupByUsage: quick(
    147,
    'secret lookup by usage',
    (w, usage: SecretUsage, id: string) => w.int(usageNumber(usage)).string(id),
    readSecret,
  ),
  listAll: quick(287, 'secret list', (w, flags: number) => w.uint(1).uint(flags), listOf(readSecret)),
} as const;

/** Secrets: what disks and vTPMs are unlocked with (libvirt-secret.h). */
export type Secrets = ReturnType<typeof secrets>;

export function secrets(channel: Channel) {
  return {
    define: (xml: string, { flags, ...options }: CallOptions & { readonly flags?: Flags<typeof DEFINE_FLAGS> } = {}) =>
      channel.call(P.defineXml, [xml, flagWord(DEFINE_FLAGS, flags)], options),
    lookupByUuid: (uuid: string, options?: CallOptions) => channel.call(P.lookupByUuid, [uuid], options),
    lookupByUsage: (usage: SecretUsage, usageId: string, options?: CallOptions) =>
      channel.call(P.lookupByUsage, [usage, usageId], options),
    list: ({ flags, ...options }: CallOptions & { readonly flags?: Flags<typeof SECRET_LIST_FLAGS> } = {}) =>
      channel.call(P.listAll, [flagWord(SECRET_LIST_FLAGS, flags)], options),
    xml: (secret: Secret, options?: CallOptions) => channel.call(P.getXml, [secret], options),
    /** Any bytes, at most 64 KiB. The caller's array is copied at once and may be overwritten. */
    setValue: (secret: Secret, value: Uint8Array, options?: CallOptions) => channel.call(P.setValue, [secret, value], options),
    /** A fresh array. libvirt refuses (`INVALID_SECRET`) when the secret is private. */
    value: (secret: Secret, options?: CallOptions) => channel.call(P.getValue, [secret], options),
    undefine: (secret: Secret, options?: CallOptions) => channel.call(P.undefine, [secret], options),
  } as const;
}
