import { trustDomain } from '@carnet/events';
import { z } from 'zod';
import { joinSecret } from '../bytes.ts';
import { KEY_BYTES } from '../limits.ts';

/** A key inside a PKCS#11 token that wraps tenant KEKs. `environment`: variables that the vendor's module reads; never a secret. */
export const tokenRoot = z
  .strictObject({
    kind: z.literal('pkcs11'),
    /** The vendor's library. */
    module: z.string().startsWith('/'),
    /** CKA_LABEL of token and key (PKCS#11, section 3: labels of tokens have 32 bytes at most). */
    token: z.string().min(1).max(32),
    key: z.string().min(1).max(64),
    environment: z.record(z.string().regex(/^[A-Z][A-Z0-9_]{0,63}$/), z.string().max(4_096)).default({}),
  })
  .readonly();
export type TokenRoot = z.infer<typeof tokenRoot>;

/** A Barbican as the child reaches it. Secrets in it carry `holder`, so that two CSPs may share one. */
export const barbicanAddress = z
  .strictObject({
    url: z.url({ protocol: /^https?$/ }),
    /** PEM; absent: the public CAs of the runtime. */
    ca: z.string().optional(),
    holder: trustDomain,
    /** Keystone's ids of users who may read the keys beside us, e.g. that of the compute service. */
    readers: z
      .array(z.string().regex(/^[0-9a-f]{32,64}$/))
      .max(32)
      .readonly(),
    /** Keystone's id of our own user: a secret that another one made under our name is never taken for ours. */
    creator: z.string().min(1).max(64).optional(),
    /** A Barbican without Keystone takes the project from the request, and lets everyone in. */
    project: z.string().min(1).max(64).optional(),
  })
  .readonly();
export type BarbicanAddress = z.infer<typeof barbicanAddress>;

const spec = z
  .strictObject({
    root: z.discriminatedUnion('kind', [z.strictObject({ kind: z.literal('key') }), tokenRoot.unwrap()]),
    /** Of the root key or PIN; what follows is the Keystone token. */
    rootBytes: z.int().min(1).max(4_096),
    barbican: barbicanAddress.optional(),
  })
  .readonly();

/** What opens keys: how (public) and with which secrets. `rootSecret`: the root key, or the token's PIN. `token`: Keystone's, if any. */
export type CustodySpec = {
  readonly root: { readonly kind: 'key' } | TokenRoot;
  readonly rootSecret: Uint8Array;
  readonly barbican?: BarbicanAddress;
  readonly token?: Uint8Array;
};

const LENGTH_BYTES = 4;

/** As the secret of a request to the child: length of the JSON (32 bits, big endian), JSON, root secret, token. The caller zeroes it. */
export function encodeCustody({ root, rootSecret, barbican, token = Buffer.alloc(0) }: CustodySpec): Buffer {
  const text = Buffer.from(JSON.stringify({ root, rootBytes: rootSecret.length, barbican }), 'utf8');
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(text.length);
  return joinSecret([length, text, rootSecret, token]);
}

/** Views into `bytes`; `undefined` when they are not ours. */
export function decodeCustody(bytes: Buffer): CustodySpec | undefined {
  if (bytes.length < LENGTH_BYTES) return undefined;
  const end = LENGTH_BYTES + bytes.readUInt32BE(0);
  const parsed = spec.safeParse(parseJson(bytes.subarray(LENGTH_BYTES, end).toString('utf8')));
  if (!parsed.success || bytes.length < end + parsed.data.rootBytes) return undefined;
  const { root, rootBytes, barbican } = parsed.data;
  if (root.kind === 'key' && rootBytes !== KEY_BYTES) return undefined;
  const token = bytes.subarray(end + rootBytes);
  return {
    root,
    rootSecret: bytes.subarray(end, end + rootBytes),
    ...(barbican === undefined ? {} : { barbican }),
    ...(token.length === 0 ? {} : { token }),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
