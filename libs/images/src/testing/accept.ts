/** A PKI that trusts every path: tests of the carrier pin leaves. */
export const accept = (): { readonly ok: true } => ({ ok: true });
