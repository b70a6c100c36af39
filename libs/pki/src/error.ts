import type { Refusal } from '@carnet/trust';
import type { PkiCode } from './codes.ts';

/** A mistake of the caller or of our own deployment; a peer's bad certificate is a refusal and never throws. */
export type PkiErrorCode =
  | 'KEY_MISMATCH'
  | 'KEY_KIND'
  | 'KEY_EXPOSED'
  | 'OUTSIDE_DOMAIN'
  | 'OUTLIVES_ISSUER'
  | 'PEM_MALFORMED'
  | 'MARKS_BROKEN'
  | 'AUTHORITY_EXISTS'
  | 'AUTHORITY_INCOMPLETE'
  | 'AUTHORITY_BUSY'
  | 'PASSPHRASE_WRONG'
  | 'PASSPHRASE_SHORT'
  | 'REGISTER_BROKEN'
  | 'LEAF_BUSY'
  | 'RANGE';

export class PkiError extends Error {
  readonly code: PkiErrorCode;

  constructor(code: PkiErrorCode, message: string, options?: ErrorOptions) {
    super(`${code}: ${message}`, options);
    this.name = 'PkiError';
    this.code = code;
  }
}

/** A peer whose certificate was refused, where an interface wants an `Error`. `code` is that of the refusal. */
export class PeerRefused extends Error {
  readonly code: PkiCode;
  readonly refusal: Refusal<PkiCode>;

  constructor(refusal: Refusal<PkiCode>) {
    const compared = [refusal.expected && `expected ${refusal.expected}`, refusal.got && `got ${refusal.got}`]
      .filter(Boolean)
      .join(', ');
    super(`${refusal.code}: ${refusal.text}${compared === '' ? '' : ` (${compared})`}`);
    this.name = 'PeerRefused';
    this.code = refusal.code;
    this.refusal = refusal;
  }
}
