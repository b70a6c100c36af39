import { readFileSync, statSync } from 'node:fs';
import { PROOF_BYTES_MAX } from '@carnet/events';
import { AuditError, EXIT } from '../exit.ts';

/**
 * The file of a proof. One that is larger than any may be is not read into memory; whoever judges says so.
 *
 * @throws AuditError FILE_UNREADABLE
 */
export function readProofBytes(path: string): Uint8Array {
  try {
    return statSync(path).size > PROOF_BYTES_MAX ? new Uint8Array(PROOF_BYTES_MAX + 1) : readFileSync(path);
  } catch (cause) {
    throw new AuditError('FILE_UNREADABLE', EXIT.failed, cause instanceof Error ? cause.message : String(cause), cause);
  }
}
