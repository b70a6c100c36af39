import type { MigrationId, TrustDomain } from '@carnet/events';
import type { Grant } from '@carnet/keys';
import type { Role } from '@carnet/policy';
import { KeyRefused } from './refused.ts';

/** By what right a key is used: a migration that this broker performs, its own care for a host, or what an operator asked for. */
export type UseRight =
  | { readonly reason: 'MIGRATION'; readonly migration: MigrationId }
  | { readonly reason: 'SECRETS_LOST' }
  | { readonly reason: 'VM_CREATE' | 'VM_START' | 'IMAGE_REGISTER' | 'IMAGE_COPY'; readonly principal: string };

/** Who may have a VM's keys given to a host: those who may switch VMs. */
const USING: readonly Role[] = ['operator', 'administrator'];

export const brokerPrincipal = (domain: TrustDomain): string => `spiffe://${domain}/broker`;

/**
 * The grant that a right amounts to; the key manager compares it with its records. The door has asked for the role before. Here it is
 * asked again, at the use itself: a way in that forgets to ask gets no key.
 */
export function grantOf(
  { domain, roleOf }: { readonly domain: TrustDomain; readonly roleOf: (principal: string) => readonly Role[] },
  right: UseRight,
): Grant {
  if (right.reason === 'MIGRATION')
    return { principal: brokerPrincipal(domain), reason: right.reason, migration: right.migration };
  if (right.reason === 'SECRETS_LOST') return { principal: brokerPrincipal(domain), reason: right.reason };
  if (!roleOf(right.principal).some((role) => USING.includes(role)))
    throw new KeyRefused('KEY_USE_UNGRANTED', `${right.principal} may not use keys of VMs (${right.reason})`);
  return { principal: right.principal, reason: right.reason };
}
