import { timestamp } from '@carnet/events';
import { type ExpectedPeer, leafSigner, type TrustStore, validatePath } from '@carnet/pki';
import { openEnvelope, signEnvelope } from '@carnet/trust';

/** Signs as the holder of a certificate; the envelope names the certificate by its digest. */
export function testify(payloadType: string, said: Uint8Array, keyPem: string, leaf: Uint8Array) {
  return signEnvelope(payloadType, said, leafSigner(keyPem, leaf));
}

/** What a peer said under its certificate, if the certificate is good for that peer today. */
export function hear(
  envelope: Uint8Array,
  payloadType: string,
  chain: readonly string[],
  peer: ExpectedPeer,
  trust: TrustStore,
  at: Date,
) {
  const path = validatePath({ ...trust, ...peer, chain, at: timestamp.parse(at.toISOString()) });
  if (!path.ok) return path;
  const { leafDigest, verifier } = path.value;
  return openEnvelope(envelope, payloadType, (keyid) => (keyid === leafDigest ? verifier : undefined));
}
