/** A mistake of the caller or of our own deployment; a peer's bad certificate is a refusal and never throws. */
export type PkiErrorCode = 'KEY_MISMATCH' | 'KEY_KIND' | 'OUTSIDE_DOMAIN' | 'OUTLIVES_ISSUER' | 'PEM_MALFORMED' | 'RANGE';

export class PkiError extends Error {
  readonly code: PkiErrorCode;

  constructor(code: PkiErrorCode, message: string, options?: ErrorOptions) {
    super(`${code}: ${message}`, options);
    this.name = 'PkiError';
    this.code = code;
  }
}
