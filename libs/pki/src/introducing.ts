import { type ConnectionOptions, TLSSocket } from 'node:tls';
import type { Digest, TrustDomain } from '@carnet/events';
import { accept, type Checked, refuse } from '@carnet/trust';
import { type Certificate, isSignedBy, readCertificate } from './certificate.ts';
import { brokerId } from './chain-validator.ts';
import type { PkiCode } from './codes.ts';
import { PeerRefused } from './error.ts';
import { checkLeaf } from './leaf.ts';
import { type ShownCertificate, shownChain } from './peer-chain.ts';
import { clientTlsOptions, type TlsMaterial } from './tls.ts';

/** A CSP that is met for the first time: its domain, and the SHA-256 of its issuing authority's certificate, from its invitation. */
export type Introducing = { readonly domain: TrustDomain; readonly issuer: Digest };

/**
 * Options for the first connection to a CSP whose revocation lists are not here yet: TLS 1.3, mutual, chain and name constraints up to
 * our root judged by OpenSSL, and here that the leaf is that domain's broker under the very authority that the invitation names.
 * Revocation is still to be judged: whoever uses it hands what `shownLeaf` says to `validatePath` with the lists that
 * the connection brought, before anything that came is believed.
 */
export const introducingTlsOptions = (material: TlsMaterial, expected: Introducing): ConnectionOptions => ({
  ...clientTlsOptions(material, { trustDomain: expected.domain }),
  checkServerIdentity: (_, certificate) => {
    const judged = judgeIntroduced(certificate, expected);
    return judged.ok ? undefined : new PeerRefused(judged);
  },
});

/** The leaf (base64 DER) of whoever is at the other end: OpenSSL found a path to our root for it, no more is known. */
export function shownLeaf(socket: object): string | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  return socket.getPeerX509Certificate()?.raw.toString('base64');
}

function judgeIntroduced(certificate: ShownCertificate, { domain, issuer }: Introducing): Checked<null, PkiCode> {
  const [leaf, above] = shownChain(certificate).map((base64) => readCertificate(Uint8Array.from(Buffer.from(base64, 'base64'))));
  if (leaf === undefined || above === undefined)
    return refuse('PEER_UNAUTHENTICATED', 'expected a certificate and its issuing authority');
  if (!leaf.ok) return leaf;
  if (!above.ok) return above;
  if (above.value.digest !== issuer)
    return refuse('ISSUER_NOT_PINNED', 'expected the issuing authority of the invitation', {
      expected: issuer,
      got: above.value.digest,
    });
  return checkIssued(leaf.value, above.value, domain);
}

/** Node links certificates by their names: that one signed the other is for us to see. */
function checkIssued(leaf: Certificate, issuer: Certificate, domain: TrustDomain): Checked<null, PkiCode> {
  if (!isSignedBy(leaf, issuer.publicKey)) return refuse('CERTIFICATE_SIGNATURE_INVALID', 'expected a signature by the issuer');
  const judged = checkLeaf(leaf, { trustDomain: domain, spiffeId: brokerId(domain), purpose: 'serverAuth' });
  return judged.ok ? accept(null) : judged;
}
