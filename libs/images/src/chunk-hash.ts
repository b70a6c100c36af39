import { hash, webcrypto } from 'node:crypto';
import { HASH_COPY_BYTES_MAX } from './limits.ts';

/**
 * SHA-256 of a chunk on the thread pool: the event loop goes on with TLS meanwhile, and several chunks are hashed at once.
 * The pool copies the bytes, at a tenth of the cost of hashing them; very large chunks are hashed in place instead.
 */
export const hashChunk = async (chunk: Uint8Array<ArrayBuffer>): Promise<Buffer> =>
  chunk.length > HASH_COPY_BYTES_MAX
    ? hash('sha256', chunk, 'buffer')
    : Buffer.from(await webcrypto.subtle.digest('SHA-256', chunk));
