/** A mistake of the caller or of our own deployment; hostile input never throws. */
export type TrustErrorCode = 'KEY_INVALID' | 'RANGE';

export class TrustError extends Error {
  readonly code: TrustErrorCode;

  constructor(code: TrustErrorCode, message: string, options?: ErrorOptions) {
    super(`${code}: ${message}`, options);
    this.name = 'TrustError';
    this.code = code;
  }
}
