import { spiffeId, type Timestamp } from '@carnet/events';
import { accept, type Checked, refuse } from '@carnet/trust';
import { readCertificate } from '../certificate.ts';
import type { PkiCode } from '../codes.ts';
import type { OwnLeaf } from '../leaf-files.ts';
import { type TrustStore, validatePath } from '../path.ts';
import { writePem } from '../pem.ts';
import { createRequest } from '../request.ts';
import { privateKeyPem, type RsaKeySource } from '../rsa-keys.ts';
import type { AskIssuer } from './ask-issuer.ts';
import { dropNextKeys, type LeafFiles, nextKeys, replacePair } from './leaf-pair.ts';

export type RenewalPorts = {
  readonly files: LeafFiles;
  readonly leaf: () => OwnLeaf;
  readonly ask: AskIssuer;
  readonly store: () => TrustStore;
  readonly now: () => Timestamp;
  readonly keys: RsaKeySource;
};

/**
 * A new key, a request for the names of the leaf of now, and, once the answer was judged as every peer will judge it, both in place of
 * the old files. The old pair is kept beside them; nothing changes unless all went well. The new key is kept for the next attempt
 * where an answer was lost.
 */
export async function renew(ports: RenewalPorts): Promise<Checked<{ readonly notAfterMs: number }, PkiCode>> {
  const held = ports.leaf();
  const names = namesOf(held);
  if (!names.ok) return names;
  const keys = await nextKeys(ports.files, held, ports.keys);
  if (keys === 'overtaken') return overtaken();
  const answered = await ports.ask(createRequest(keys, names.value));
  if (!answered.ok) {
    if (isSpent(answered)) dropNextKeys(ports.files);
    return answered;
  }
  const read = answered.value.flatMap((der) => {
    const certificate = readCertificate(der);
    return certificate.ok ? [certificate.value] : [];
  });
  const leaf = read.find(({ publicKey }) => publicKey.equals(keys.publicKey));
  if (leaf === undefined) return refuse('RENEWAL_REFUSED', 'expected a certificate of the new key');
  // An issuer that sends the leaf alone is the one that we have.
  const sent = read.filter(({ subject, issuer, authority }) => subject !== issuer && authority !== undefined);
  const above = sent.length > 0 ? sent.map(({ der }) => der) : held.chain.slice(1).map(bytesOf);
  const ders = [leaf.der, ...above];
  const chain = ders.map((der) => Buffer.from(der).toString('base64'));
  const path = validatePath({ ...ports.store(), chain, at: ports.now(), spiffeId: names.value.spiffeId });
  if (!path.ok) return path;
  const certificatePem = ders.map((der) => writePem('CERTIFICATE', der)).join('');
  const outcome = replacePair(ports.files, { keyPem: privateKeyPem(keys.privateKey), certificatePem }, held);
  return outcome === 'replaced' ? accept({ notAfterMs: leaf.notAfterMs }) : overtaken();
}

const overtaken = () => refuse('RENEWAL_OVERTAKEN', 'expected the files of the leaf that is renewed');

/** This key gets no certificate, ever: the next attempt makes another. Over EST the code is the first word of the answer. */
const isSpent = ({ code, got }: { readonly code: PkiCode; readonly got?: string }): boolean =>
  code === 'RENEWAL_KEY_REUSED' || (code === 'RENEWAL_REFUSED' && got?.startsWith('403 RENEWAL_KEY_REUSED:') === true);

const bytesOf = (base64: string): Uint8Array => Uint8Array.from(Buffer.from(base64, 'base64'));

function namesOf({ chain }: OwnLeaf) {
  const read = readCertificate(bytesOf(chain[0] ?? ''));
  if (!read.ok) return read;
  const id = spiffeId.safeParse(read.value.names.flatMap((name) => (name.kind === 'uri' ? [name.text] : []))[0]);
  if (!id.success) return refuse('IDENTITY_MALFORMED', 'expected a leaf with one SPIFFE id');
  const dnsNames = read.value.names.flatMap((name) => (name.kind === 'dns' ? [name.text] : []));
  return accept({ commonName: id.data.slice('spiffe://'.length).replace('/', ' '), spiffeId: id.data, dnsNames });
}
