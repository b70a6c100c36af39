import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TrustDomain } from '@carnet/events';
import { accept, type Checked } from '@carnet/trust';
import type { PkiCode } from '../codes.ts';
import { readCrl } from '../crl.ts';
import { writeDurably } from '../issuing/authority-files.ts';

/**
 * Keeps a newer CRL of a CSP in a folder as `<domain>.der`, where `openTrustFiles` finds it. An older one, or the same, changes nothing.
 * Its signature is judged whenever it is used; a list of another issuer is left out here already, so that it takes nobody's place.
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
  const before = numberIn(file);
  if (crl.value.issuer !== issuer || (before !== undefined && crl.value.number <= before)) return accept('as before');
  writeDurably(file, der, 0o644);
  return accept('kept');
}

function numberIn(file: string): bigint | undefined {
  try {
    const crl = readCrl(Uint8Array.from(readFileSync(file)));
    return crl.ok ? crl.value.number : undefined;
  } catch {
    // None yet.
    return undefined;
  }
}
