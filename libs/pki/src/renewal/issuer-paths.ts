import { spiffeId, type TrustDomain } from '@carnet/events';

/** Where RFC 7030 has its operations. */
export const EST_PATH = '/.well-known/est/simplereenroll';
export const CRL_PATH = '/v1/crl';
export const REVOKE_PATH = '/v1/revocations';

/** The issuing authority's own identity: no other holder of a certificate of the domain can pretend to be it. */
export const issuingServiceId = (domain: TrustDomain) => spiffeId.parse(`spiffe://${domain}/server/issuer`);
