import { readFileSync } from 'node:fs';
import { NOTE_BYTES_MAX } from '@carnet/trust';
import type { ShownNote } from '../core/checkpoints.ts';
import { AuditError, EXIT } from '../exit.ts';

/**
 * Checkpoints that the auditor kept, one a file.
 *
 * @throws AuditError FILE_UNREADABLE
 */
export const readNoteFiles = (paths: readonly string[]): readonly ShownNote[] =>
  paths.map((path) => {
    try {
      return { source: path, note: readFileSync(path).subarray(0, NOTE_BYTES_MAX + 1) };
    } catch (cause) {
      throw new AuditError('FILE_UNREADABLE', EXIT.failed, cause instanceof Error ? cause.message : String(cause), cause);
    }
  });
