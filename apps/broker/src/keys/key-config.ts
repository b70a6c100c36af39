import { z } from 'zod';

const path = z.string().min(1);
const credentialName = z.string().regex(/^[A-Za-z0-9._-]{1,255}$/);

const hostOf = (url: string): string => (URL.canParse(url) ? new URL(url).hostname : '');
/** A Barbican without Keystone, and any plain HTTP, may only be met on this machine. */
const isLoopback = (url: string): boolean => ['127.0.0.1', '[::1]', 'localhost'].includes(hostOf(url));
/** Where a service of OpenStack answers. */
export const address = z
  .string()
  .refine(
    (url) => hostOf(url) !== '' && (url.startsWith('https://') || (url.startsWith('http://') && isLoopback(url))),
    'an address with https, or with http on this machine',
  );

/** `rootFile`: the sealed root, made at first start. Its passphrase: a file of mode 600, or a systemd credential. */
const sealedRoot = { rootFile: path, passphraseFile: path.optional(), passphraseCredential: credentialName.optional() };
const onePassphrase = (keys: {
  readonly passphraseFile?: string | undefined;
  readonly passphraseCredential?: string | undefined;
}): boolean => (keys.passphraseFile === undefined) !== (keys.passphraseCredential === undefined);
const ONE_PASSPHRASE = { error: 'either passphraseFile or passphraseCredential', path: ['passphraseFile'] };

const barbican = z
  .strictObject({
    /** Where it answers, without `/v1`. */
    url: address,
    /** PEM of a private CA, for Barbican and Keystone. */
    caFile: path.optional(),
    /** Keystone's ids of users who may read the keys beside this broker. Everyone else of the project may not. */
    readers: z
      .array(z.string().regex(/^[0-9a-f]{32,64}$/))
      .max(32)
      .default([]),
    /** An application credential of the project that owns the keys, with the role `creator`. */
    keystone: z.strictObject({ url: address, credentialId: z.string().min(1).max(64), credentialSecretFile: path }).optional(),
    /** Only for a Barbican without Keystone. */
    project: z.string().min(1).max(64).optional(),
  })
  .refine(({ keystone, project }) => (keystone === undefined) !== (project === undefined), {
    error: 'either keystone or, without one, project',
    path: ['keystone'],
  })
  .refine(({ project, url }) => project === undefined || isLoopback(url), {
    error: 'a Barbican without Keystone lets everyone in: only on this machine',
    path: ['project'],
  });

/** The broker's `[keys]`: where the root of all keys is, and where the keys of disks and states lie. */
export const keysConfig = z.preprocess(
  // Most have one sealed file, and need not say so.
  (given) => (typeof given === 'object' && given !== null && !('backend' in given) ? { backend: 'file', ...given } : given),
  z.discriminatedUnion('backend', [
    z.strictObject({ backend: z.literal('file'), ...sealedRoot }).refine(onePassphrase, ONE_PASSPHRASE),
    z.strictObject({
      backend: z.literal('pkcs11'),
      /** The vendor's library, and the variables that it reads; never a secret. */
      module: z.string().startsWith('/'),
      environment: z.record(z.string().regex(/^[A-Z][A-Z0-9_]{0,63}$/), z.string().max(4_096)).default({}),
      /** Labels of the token, and of the AES key in it, which is made at first start. */
      token: z.string().min(1).max(32),
      key: z.string().min(1).max(64).default('carnet-root'),
      pinFile: path,
    }),
    z.strictObject({ backend: z.literal('barbican'), ...sealedRoot, barbican }).refine(onePassphrase, ONE_PASSPHRASE),
  ]),
);
export type KeysConfig = z.infer<typeof keysConfig>;
