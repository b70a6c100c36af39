import { createHash } from 'node:crypto';
import { type Digest, digest } from '@carnet/events';

/** SHA-256 in lowercase hexadecimal. */
export const sha256 = (bytes: Uint8Array | string): Digest => digest.parse(createHash('sha256').update(bytes).digest('hex'));
