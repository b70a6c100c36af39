import { randomBytes } from 'node:crypto';
import { spiffeId } from '@carnet/events';
import { createIntermediate, createRoot, freshRsaKeys, issueLeaf, leafSigner } from '@carnet/pki';
import { z } from 'zod';
import { A, requestBytes, statementBytes } from './said.ts';

const base64Of = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/**
 * The part of the vectors that cannot be made twice: RSA-PSS is randomised (RFC 8017, section 8.1). Made once, committed, and
 * read from then on. No private key of it exists any more.
 */
export const identity = z.strictObject({
  comment: z.string(),
  /** DER in base64. */
  root: z.base64(),
  /** Leaf and intermediate of A's broker. */
  broker: z.strictObject({ chain: z.array(z.base64()), statementSignature: z.base64() }),
  scheduler: z.strictObject({ chain: z.array(z.base64()), requestSignature: z.base64() }),
});
export type Identity = z.infer<typeof identity>;

const LIFETIME = {
  notBeforeMs: Date.parse('2026-01-01T00:00:00Z'),
  notAfterMs: Date.parse('2046-01-01T00:00:00Z'),
  random: (n: number): Uint8Array => randomBytes(n),
};

export async function newIdentity(): Promise<Identity> {
  const [rootKeys, ownKeys, brokerKeys, schedulerKeys] = await Promise.all([
    freshRsaKeys(),
    freshRsaKeys(),
    freshRsaKeys(),
    freshRsaKeys(),
  ]);
  const root = createRoot({ ...LIFETIME, name: 'Carnet test vectors: root', keys: rootKeys });
  const authority = createIntermediate(root, { ...LIFETIME, domain: A, keys: ownKeys });
  const signed = (profile: 'broker' | 'scheduler', keys: typeof brokerKeys, said: Uint8Array) => {
    const wanted = {
      ...LIFETIME,
      profile,
      spiffeId: spiffeId.parse(`spiffe://${A}/${profile}`),
      dnsNames: [],
      publicKey: keys.publicKey,
    };
    const { chain } = issueLeaf(authority, wanted);
    const [leaf = ''] = chain;
    return { chain: [...chain], signature: base64Of(leafSigner(keys.privateKey, Buffer.from(leaf, 'base64')).sign(said)) };
  };
  const broker = signed('broker', brokerKeys, statementBytes);
  const scheduler = signed('scheduler', schedulerKeys, requestBytes);
  return {
    comment: 'Test vectors: trust none of this. Made once, since RSA-PSS is randomised.',
    root: base64Of(root.certificate),
    broker: { chain: broker.chain, statementSignature: broker.signature },
    scheduler: { chain: scheduler.chain, requestSignature: scheduler.signature },
  };
}
