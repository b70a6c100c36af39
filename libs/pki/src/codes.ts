/** One entry per refusal: the sentence and what to do next (`carnet error CODE`). */
export const PKI_CODES = {
  CHAIN_LENGTH: {
    text: 'The chain has no intermediate, or too many certificates.',
    advice: 'Send the leaf and the issuing intermediate, without the root.',
  },
  CERTIFICATE_MALFORMED: {
    text: 'A certificate is no DER-encoded X.509 version 3 certificate.',
    advice: 'Check the file or the sender: it may be PEM, cut short or re-encoded.',
  },
  CRITICAL_EXTENSION_UNKNOWN: {
    text: 'A certificate has a critical extension that is not understood.',
    advice: 'Issue the certificate with Carnet’s profiles.',
  },
  KEY_WEAK: {
    text: 'A certificate’s key is not RSA of 3072 to 8192 bits with a sound exponent.',
    advice: 'Create a new RSA-3072 key and certificate.',
  },
  ALGORITHM_WEAK: {
    text: 'A signature is not RSA with SHA-256, SHA-384 or SHA-512.',
    advice: 'Issue the certificate or CRL again with SHA-256.',
  },
  SELF_ISSUED: {
    text: 'The chain holds a self-issued certificate.',
    advice: 'Leave the root out of the chain.',
  },
  ROOT_UNKNOWN: {
    text: 'The chain does not end at a root that is trusted here.',
    advice: 'Compare the fingerprint of the federation root with the peer, by another way than the bus.',
  },
  KEY_IDENTIFIER_MISSING: {
    text: 'A certificate does not identify its own key or its issuer’s.',
    advice: 'Issue the certificate with Carnet’s profiles.',
  },
  ISSUER_MISMATCH: {
    text: 'A certificate was not issued by the next one in the chain.',
    advice: 'Order the chain: leaf first, each followed by its issuer.',
  },
  CERTIFICATE_SIGNATURE_INVALID: {
    text: 'A certificate’s signature does not verify under its issuer.',
    advice: 'The certificate was altered or forged: treat it as an attack.',
  },
  NOT_YET_VALID: { text: 'A certificate is not valid yet.', advice: 'Check the clocks of both sides.' },
  EXPIRED: { text: 'A certificate has expired.', advice: 'Renew the certificate.' },
  NOT_A_CA: {
    text: 'A certificate that issued another one is no certificate authority.',
    advice: 'Treat it as an attack: somebody uses a leaf’s key to issue.',
  },
  PATH_TOO_LONG: {
    text: 'A certificate authority issued deeper than its path length allows.',
    advice: 'Issue leaves directly from the CSP’s intermediate.',
  },
  NAMES_UNCONSTRAINED: {
    text: 'No certificate authority below the root is bound to a domain by critical name constraints.',
    advice: 'Issue the intermediate with Carnet’s profile.',
  },
  NAME_CONSTRAINT_UNSUPPORTED: {
    text: 'A name constraint is of a kind that is not understood.',
    advice: 'Constrain URI, DNS and IP names only, whole subtrees.',
  },
  NAME_NOT_PERMITTED: {
    text: 'A name lies outside what its certificate authority may issue for.',
    advice: 'Treat it as an attack: a CSP issues for a domain that is not its own.',
  },
  NAME_MALFORMED: {
    text: 'A name is of an unexpected kind or cannot be read.',
    advice: 'Issue the certificate with one SPIFFE URI and plain DNS names.',
  },
  LEAF_IS_CA: {
    text: 'The leaf may issue certificates itself.',
    advice: 'Issue the leaf with Carnet’s profile.',
  },
  USAGE_MISMATCH: {
    text: 'The leaf’s key usage or extended key usage does not allow this use.',
    advice: 'Issue the leaf with the profile for its role.',
  },
  IDENTITY_MALFORMED: {
    text: 'The leaf does not name exactly one SPIFFE id.',
    advice: 'Issue the leaf with one URI, a SPIFFE id.',
  },
  DOMAIN_MISMATCH: {
    text: 'The leaf belongs to another trust domain.',
    advice: 'Check which peer this is; do not add it under a foreign name.',
  },
  IDENTITY_MISMATCH: {
    text: 'The leaf names another identity than was expected.',
    advice: 'Check the address and the certificate of that service.',
  },
  LEAF_MISMATCH: {
    text: 'The leaf is not the certificate that was pinned in the agreement.',
    advice: 'The agent’s certificate changed after the agreement: withdraw and start again.',
  },
  CRL_MISSING: {
    text: 'There is no revocation list of an issuer.',
    advice: 'Fetch the CRL of that issuer; without it nothing it issued is trusted.',
  },
  CRL_MALFORMED: { text: 'A revocation list cannot be read.', advice: 'Fetch the CRL again, in DER.' },
  CRL_UNSUPPORTED: {
    text: 'A revocation list is partial or has critical extensions that are not understood.',
    advice: 'Publish complete CRLs.',
  },
  CRL_SIGNATURE_INVALID: {
    text: 'A revocation list was not signed by its issuer.',
    advice: 'Fetch the CRL again; if it repeats, treat it as an attack.',
  },
  CRL_NOT_YET_VALID: { text: 'A revocation list is dated in the future.', advice: 'Check the clocks of both sides.' },
  CRL_STALE: {
    text: 'A revocation list is past its next update.',
    advice: 'Fetch a fresh CRL; until then nothing of that issuer is trusted.',
  },
  CRL_NUMBER_BACK: {
    text: 'A revocation list has a lower number than one that was seen before.',
    advice:
      'Somebody put an old list in place of a newer one: fetch the newest CRL of that issuer. If it is the newest, its CA was restored from a backup and must issue a higher number.',
  },
  CRL_NUMBER_REUSED: {
    text: 'Two different revocation lists have the same number.',
    advice: 'The issuer’s CA was restored from a backup or runs twice: have it issue a CRL with a higher number.',
  },
  CRL_ENTRY_LOST: {
    text: 'A newer revocation list lacks a certificate that the list before had revoked.',
    advice:
      'The authority was restored from a backup: put the list that is held here into its directory as crl.der, and make a new list there.',
  },
  CRL_MARK_UNWRITTEN: {
    text: 'The number of a new revocation list cannot be remembered durably.',
    advice: 'Look at the disk that holds the state directory: until it is written the list does not count.',
  },
  REVOKED: {
    text: 'A certificate is revoked.',
    advice: 'Do not trust its holder; ask the CSP for the new certificate.',
  },
  ISSUER_NOT_PINNED: {
    text: 'The certificate is signed by another issuing authority than the one that was confirmed for this CSP.',
    advice:
      'If the CSP set up a new authority, remove the peer and invite it again. If not, somebody got the federation root to sign an impostor: tell whoever keeps it.',
  },
  CSR_MALFORMED: {
    text: 'A certificate request is no PKCS #10 request in DER or PEM.',
    advice: 'Make it with `carnet cert request`, or `openssl req -new`.',
  },
  CSR_SIGNATURE_INVALID: {
    text: 'A certificate request is not signed by the key that it names.',
    advice: 'Its sender does not hold that key: refuse it, and make a new key and request.',
  },
  CSR_NAME_MISMATCH: {
    text: 'A certificate request asks for another name than its sender may have.',
    advice: 'Compare the request with who sent it. Either the wrong file was taken, or somebody wants to be somebody else.',
  },
  PROFILE_MISMATCH: {
    text: 'The SPIFFE id is not one of this profile.',
    advice: 'A broker is /broker, an agent /agent/<host>; other profiles are named after themselves.',
  },
  ISSUER_NAME_CHANGED: {
    text: 'The certificate of the issuing authority has another subject than its request.',
    advice: 'Have the CA take the subject of the request as it is: leaves and revocation lists name it byte by byte.',
  },
  ISSUER_KEY_MISMATCH: {
    text: 'The certificate is not for the key of this authority.',
    advice: 'Have the request of this very directory signed.',
  },
  CONSTRAINTS_WRONG: {
    text: 'The name constraints are not exactly those of this domain.',
    advice: 'They must be critical: permitted URI and DNS names of the domain and no others, all IP addresses excluded.',
  },
  CERTIFICATE_UNKNOWN: {
    text: 'This authority has no such certificate in its register.',
    advice: '`carnet authority list` shows what it issued.',
  },
  ALREADY_REVOKED: { text: 'The certificate was revoked before.', advice: 'Nothing: it stays revoked.' },
  RENEWAL_KEY_REUSED: {
    text: 'A renewal asks for a certificate of a key that was certified before.',
    advice: 'Make a new key: a key that leaked would otherwise live on for ever.',
  },
  RENEWAL_EARLY: {
    text: 'A renewal comes before half of the certificate’s life is over.',
    advice: 'Wait: brokers and agents renew after two thirds. If its key may have leaked, revoke it and sign a new one.',
  },
  RENEWAL_REPEATED: {
    text: 'The certificate was renewed before, for another key, and its successor is good.',
    advice:
      'Use the successor. If its holder does not have it, somebody else has the key: revoke either of the two, which ends both, and sign a new one.',
  },
  RENEWAL_OVERTAKEN: {
    text: 'While a certificate was renewed, its files were replaced by another pair.',
    advice: 'Nothing: the pair that is there counts, and nothing was changed.',
  },
  RENEWAL_REFUSED: {
    text: 'The issuing authority did not renew the certificate.',
    advice: 'Its answer names the reason; the old certificate counts until it ends.',
  },
  ISSUER_REFUSED: {
    text: 'The issuing authority refused.',
    advice: 'Its answer names the reason.',
  },
  ISSUER_UNREACHABLE: {
    text: 'The issuing authority does not answer.',
    advice: 'It is asked again; the old certificate counts until it ends.',
  },
  PEER_UNAUTHENTICATED: {
    text: 'The connection shows no authenticated peer certificate.',
    advice: 'Connect with TLS 1.3 and a client certificate.',
  },
} as const satisfies Readonly<Record<string, { readonly text: string; readonly advice: string }>>;

export type PkiCode = keyof typeof PKI_CODES;
