import { constants, createPrivateKey, type KeyObject, sign, verify, X509Certificate } from 'node:crypto';
import { type Signer, sha256Hex, type Verifier } from '@carnet/trust';
import { PkiError } from './error.ts';
import { PSS_SALT_BYTES } from './limits.ts';

const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: PSS_SALT_BYTES };

/** RSASSA-PSS with SHA-256 and a salt of exactly 32 octets (RFC 8017, section 8.1). */
export const rsaPssVerifier = (key: KeyObject): Verifier => ({
  verify: (pae, signature) => verify('sha256', pae, { key, ...PSS }, signature),
});

/**
 * Signs as an X.509 identity. `keyid` is the SHA-256 of the leaf's DER: it names the certificate, not only the key.
 * @throws PkiError KEY_MISMATCH, KEY_KIND
 */
export function leafSigner(privateKey: KeyObject | string, leafDer: Uint8Array): Signer {
  const key = typeof privateKey === 'string' ? createPrivateKey(privateKey) : privateKey;
  if (key.asymmetricKeyType !== 'rsa')
    throw new PkiError('KEY_KIND', `expected an RSA key, got ${key.asymmetricKeyType ?? 'none'}`);
  const leaf = new X509Certificate(leafDer);
  // A signature under another certificate's name would convict the wrong holder.
  if (!leaf.checkPrivateKey(key)) throw new PkiError('KEY_MISMATCH', 'expected the private key of the leaf certificate');
  return { keyid: sha256Hex(leafDer), sign: (pae) => sign('sha256', pae, { key, ...PSS }) };
}
