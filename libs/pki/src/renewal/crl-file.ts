import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TrustDomain } from '@carnet/events';
import { accept, type Checked, refuse } from '@carnet/trust';
import type { PkiCode } from '../codes.ts';
import { type Crl, readCrl } from '../crl.ts';
import { writeDurably } from '../durable.ts';

/**
 * Keeps a newer CRL of a CSP in a folder as `<domain>.der`, where `openTrustFiles` finds it. An older one, or the same, changes nothing.
 * So does, as a refusal, a newer one that lacks a serial number of the one before: our authority takes none out again, so it came back
 * from a backup, and a revoked certificate would live again. Its signature is judged whenever it is used; a list of another issuer is left out here already, so that it takes nobody's place.
 *
 * @param issuer hexadecimal DER of the issuer's name, as `readCertificate` gives it
 */
export function keepCrl(
  directory: string,
  { domain, issuer }: { readonly domain: TrustDomain; readonly issuer: string },
  der: Uint8Array,
): Checked<'kept' | 'as before', PkiCode> {
  const crl = readCrl(der);
  if (!crl.ok) return crl;
  const file = join(directory, `${domain}.der`);
  const before = listIn(file);
  if (crl.value.issuer !== issuer || (before !== undefined && crl.value.number <= before.number)) return accept('as before');
  const lost = before?.issuer === issuer ? [...before.revoked.keys()].find((one) => !crl.value.revoked.has(one)) : undefined;
  if (lost !== undefined) return refuse('CRL_ENTRY_LOST', 'expected all certificates that were revoked before', { got: lost });
  writeDurably(file, der, { mode: 0o644 });
  return accept('kept');
}

/** The number of the list that a file holds; undefined: none yet. */
export const numberIn = (file: string): bigint | undefined => listIn(file)?.number;

function listIn(file: string): Crl | undefined {
  try {
    const crl = readCrl(Uint8Array.from(readFileSync(file)));
    return crl.ok ? crl.value : undefined;
  } catch {
    // None yet.
    return undefined;
  }
}
