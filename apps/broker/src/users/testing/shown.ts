import { type Credential, tokenEnding } from '../credential.ts';

/** A credential that does not end while a test runs. */
export const SHOWN: Credential = tokenEnding(Number.POSITIVE_INFINITY);
