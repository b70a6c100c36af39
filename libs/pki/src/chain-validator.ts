import { type SpiffeId, spiffeId, type Timestamp, type TrustDomain } from '@carnet/events';
import { accept, type ValidateChain } from '@carnet/trust';
import { type TrustStore, validatePath } from './path.ts';

/** The broker's identity: it alone speaks for its CSP. */
export const brokerId = (domain: TrustDomain): SpiffeId => spiffeId.parse(`spiffe://${domain}/broker`);

/**
 * The certificate check that `admit` asks for: the chain is the broker's of that domain. Not just any leaf of the domain: a
 * compromised host's agent could otherwise introduce an event key and speak for the whole CSP.
 *
 * @param past for an auditor: judge revocations as of the event's own time
 */
export function chainValidator(
  store: () => TrustStore,
  now: () => Timestamp,
  past: 'revoked is revoked' | 'as of then' = 'revoked is revoked',
): ValidateChain {
  return (chain, domain, at) => {
    const judged = past === 'as of then' ? { ignoreRevokedAfter: at } : {};
    const path = validatePath({ ...store(), chain, at, now: now(), trustDomain: domain, spiffeId: brokerId(domain), ...judged });
    return path.ok ? accept({ spkiVerifier: path.value.verifier }) : path;
  };
}
