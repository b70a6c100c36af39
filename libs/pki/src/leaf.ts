import { type Digest, type SpiffeId, spiffeId, type TrustDomain, trustDomain } from '@carnet/events';
import { accept, type Checked, refuse } from '@carnet/trust';
import type { Certificate } from './certificate.ts';
import type { PkiCode } from './codes.ts';
import { hostOfUri } from './names.ts';
import { OID } from './oids.ts';
import type { TlsUsage } from './profiles.ts';

export type LeafQuestion = {
  readonly trustDomain?: TrustDomain;
  readonly spiffeId?: SpiffeId;
  readonly leafDigest?: Digest;
  readonly purpose?: TlsUsage;
};

type LeafIdentity = { readonly spiffeId: SpiffeId; readonly domain: TrustDomain; readonly leafDigest: Digest };

/** What the leaf may do and whom it names (X.509-SVID, sections 2 to 4). */
export function checkLeaf(leaf: Certificate, question: LeafQuestion): Checked<LeafIdentity, PkiCode> {
  const used = checkUse(leaf, question.purpose);
  if (!used.ok) return used;
  const identity = readIdentity(leaf);
  if (!identity.ok) return identity;
  return checkExpected(identity.value, question);
}

function checkUse({ authority, keyUsage, extendedKeyUsage }: Certificate, purpose: TlsUsage | undefined): Checked<null, PkiCode> {
  if (authority !== undefined || keyUsage?.has('keyCertSign') === true || keyUsage?.has('cRLSign') === true) {
    return refuse('LEAF_IS_CA', 'expected a leaf that issues nothing');
  }
  if (keyUsage?.has('digitalSignature') !== true) return refuse('USAGE_MISMATCH', 'expected the key usage digitalSignature');
  // RFC 5280 lets a leaf without extended key usage do everything; here each role says what it does.
  if (purpose !== undefined && extendedKeyUsage?.includes(OID[purpose]) !== true) {
    return refuse('USAGE_MISMATCH', 'expected another extended key usage', {
      expected: purpose,
      got: extendedKeyUsage?.join(' ') ?? 'none',
    });
  }
  return accept(null);
}

/** Exactly one URI: with two, which is the identity would depend on who reads. */
function readIdentity({ names, digest }: Certificate): Checked<LeafIdentity, 'IDENTITY_MALFORMED'> {
  const uris = names.flatMap((name) => (name.kind === 'uri' ? [name.text] : []));
  const [uri = ''] = uris;
  const id = spiffeId.safeParse(uri);
  const domain = trustDomain.safeParse(hostOfUri(uri));
  if (uris.length === 1 && id.success && domain.success)
    return accept({ spiffeId: id.data, domain: domain.data, leafDigest: digest });
  return refuse('IDENTITY_MALFORMED', 'expected one SPIFFE id', { got: `${uris.length} URIs` });
}

function checkExpected(identity: LeafIdentity, question: LeafQuestion): Checked<LeafIdentity, PkiCode> {
  if (question.trustDomain !== undefined && identity.domain !== question.trustDomain) {
    return refuse('DOMAIN_MISMATCH', 'expected another trust domain', { expected: question.trustDomain, got: identity.domain });
  }
  if (question.spiffeId !== undefined && identity.spiffeId !== question.spiffeId) {
    return refuse('IDENTITY_MISMATCH', 'expected another SPIFFE id', { expected: question.spiffeId, got: identity.spiffeId });
  }
  if (question.leafDigest !== undefined && identity.leafDigest !== question.leafDigest) {
    return refuse('LEAF_MISMATCH', 'expected the pinned certificate', {
      expected: question.leafDigest,
      got: identity.leafDigest,
    });
  }
  return accept(identity);
}
