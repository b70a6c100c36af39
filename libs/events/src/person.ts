/**
 * Who a principal is, whatever role it comes in: the last segment of its name. `spiffe://csp/operator/anna` and
 * `spiffe://csp/custodian/anna` are one person, as is a Keystone user in two projects, so Anna cannot approve what Anna asked for.
 * Whoever issues certificates must give one person one last segment; two persons of one name are taken for one, which errs on the safe side.
 */
export const personOf = (principal: string): string => principal.slice(principal.lastIndexOf('/') + 1);

export const isSamePerson = (a: string, b: string): boolean => personOf(a) === personOf(b);

/** Principals of API keys are this and the key's name: a key tells nothing of who holds it. */
export const API_KEY_PRINCIPALS = 'api-key/';
export const isPerson = (principal: string): boolean => !principal.startsWith(API_KEY_PRINCIPALS);

/** `SELF_APPROVAL`: it is who asked, under whatever name. `APPROVER_NO_PERSON`: whoever asked may hold that key, too. */
export type ApproverFault = 'SELF_APPROVAL' | 'APPROVER_NO_PERSON';

/** Why a principal is not the second person of what another one asked for, whatever its roles. */
export function approverFault(approver: string, asker: string): ApproverFault | undefined {
  if (isSamePerson(approver, asker)) return 'SELF_APPROVAL';
  return isPerson(approver) ? undefined : 'APPROVER_NO_PERSON';
}
