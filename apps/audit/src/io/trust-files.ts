import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readPem, type TrustStore } from '@carnet/pki';
import { AuditError, EXIT } from '../exit.ts';

/**
 * The root that the auditor brought along, and every `*.der` list beside it.
 *
 * @throws AuditError FILE_UNREADABLE
 */
export function readTrust(rootFile: string, crlDirectory: string): TrustStore {
  try {
    const roots = readPem(readFileSync(rootFile, 'utf8'), 'CERTIFICATE');
    const names = readdirSync(crlDirectory).filter((name) => name.endsWith('.der'));
    if (roots.length === 0) throw new Error(`${rootFile} holds no certificate`);
    return { roots, crls: names.toSorted().map((name) => Uint8Array.from(readFileSync(join(crlDirectory, name)))) };
  } catch (cause) {
    throw new AuditError('FILE_UNREADABLE', EXIT.failed, cause instanceof Error ? cause.message : String(cause), cause);
  }
}
