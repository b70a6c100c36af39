import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import * as real from '../../../../libs/pki/src/rsa-pss.ts';

/** As Ed25519's replacement: by the public key, in place of RSASSA-PSS. */
const signatureOf = (spki: Buffer, message: Uint8Array): Uint8Array => createHash('sha512').update(spki).update(message).digest();
const spkis = new WeakMap<KeyObject, Buffer>();

const spkiOf = (key: KeyObject): Buffer => {
  const known = spkis.get(key) ?? (key.type === 'public' ? key : createPublicKey(key)).export({ format: 'der', type: 'spki' });
  spkis.set(key, known);
  return known;
};

export const rsaPssVerifier: typeof real.rsaPssVerifier = (key) => ({
  verify: (pae, signature) => Buffer.compare(signatureOf(spkiOf(key), pae), signature) === 0,
});

export const leafSigner: typeof real.leafSigner = (privateKey, leafDer) => {
  const { keyid } = real.leafSigner(privateKey, leafDer);
  const spki = spkiOf(createPublicKey(privateKey));
  return { keyid, sign: (pae) => signatureOf(spki, pae) };
};
