/**
 * Who a principal is, whatever role it comes in: the last segment of its name. `spiffe://csp/operator/anna` and
 * `spiffe://csp/custodian/anna` are one person, so Anna cannot approve what Anna asked for. Whoever issues certificates must give
 * one person one last segment; two persons of one name are taken for one, which errs on the safe side.
 */
export const personOf = (principal: string): string => principal.slice(principal.lastIndexOf('/') + 1);

export const isSamePerson = (a: string, b: string): boolean => personOf(a) === personOf(b);
