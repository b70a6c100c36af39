import { accept, type Checked, refuse, sha256Hex } from '@carnet/trust';
import { type IssuedLeaf, issueLeaf } from '../authority.ts';
import type { PkiCode } from '../codes.ts';
import { RENEW_FROM } from '../limits.ts';
import type { CertificateRequest } from '../request.ts';
import { alone } from './authority-files.ts';
import { certify, checkWish, type LeafWish, type Office, spkiDigest } from './issue.ts';
import { successorOf } from './lines.ts';
import { type IssuedLine, type Register, readRegister } from './register.ts';

/**
 * A new leaf in place of one that is still good and whose life is half over: the same names, profile and length of life, another key.
 * Who asks is known by the old leaf, which the caller has judged; what is given is what the register says of that leaf. A leaf has one
 * successor at a time: the same key asked for again gets the same certificate, since an answer may be lost, and another key nothing. So
 * a thief and an owner cannot both renew unnoticed, and the register does not grow by asking.
 *
 * @param held DER of the leaf that whoever asks has proven to hold
 */
export function renewLeaf(office: Office, request: CertificateRequest, held: Uint8Array): Checked<IssuedLeaf, PkiCode> {
  // Read where it is written: a revocation of this moment comes before the renewal, or sees it.
  return alone(office.dir, () => {
    const register = readRegister(office.dir);
    const digest = sha256Hex(held);
    const line = register.issued.find((one) => one.digest === digest);
    const wish = line === undefined ? undefined : wishOf(line);
    if (line === undefined || wish === undefined)
      return refuse('CERTIFICATE_UNKNOWN', 'expected a leaf that this authority issued', { got: digest });
    const fit = checkWish(office, request, wish);
    if (!fit.ok) return fit;
    const due = checkDue(register, line, office.nowMs());
    if (!due.ok) return due;
    const key = spkiDigest(request.publicKey);
    const successor = successorOf(register, line, office.nowMs());
    if (successor !== undefined) return again(office, request, { line: successor, wish, key });
    if (register.issued.some((one) => one.key === key)) return refuse('RENEWAL_KEY_REUSED', 'expected a new key', { got: key });
    return accept(certify(office, request.publicKey, wish, line.digest));
  });
}

function wishOf({ what, lifeMs }: IssuedLine): LeafWish | undefined {
  return what.profile === 'issuer' ? undefined : { ...what, lifeMs };
}

function checkDue({ revoked }: Register, line: IssuedLine, nowMs: number): Checked<null, PkiCode> {
  if (revoked.has(line.serial)) return refuse('REVOKED', 'expected a leaf that is not revoked', { got: line.serial });
  const [beginMs, endMs] = [Date.parse(line.notBefore), Date.parse(line.notAfter)];
  if (endMs <= nowMs) return refuse('EXPIRED', 'expected a leaf that has not ended', { got: line.notAfter });
  const fromMs = beginMs + (endMs - beginMs) * RENEW_FROM;
  if (nowMs >= fromMs) return accept(null);
  return refuse('RENEWAL_EARLY', 'expected a leaf whose life is half over', { expected: new Date(fromMs).toISOString() });
}

/** Made again from the register, byte for byte: serial and times are recorded, and RSASSA-PKCS1-v1_5 signs without chance. */
function again(
  { authority }: Office,
  { publicKey }: CertificateRequest,
  { line, wish, key }: { readonly line: IssuedLine; readonly wish: LeafWish; readonly key: string },
): Checked<IssuedLeaf, PkiCode> {
  const repeated = refuse('RENEWAL_REPEATED', 'expected the first renewal of this leaf', { got: line.serial });
  if (line.key !== key) return repeated;
  const lifetime = { notBeforeMs: Date.parse(line.notBefore), notAfterMs: Date.parse(line.notAfter) };
  const random = (): Uint8Array => Uint8Array.from(Buffer.from(line.serial, 'hex'));
  const leaf = issueLeaf(authority, { ...lifetime, ...wish, publicKey, random });
  // The authority's own certificate, or the layout, became another since: a second certificate of one serial is never given out.
  return sha256Hex(leaf.certificate) === line.digest ? accept(leaf) : repeated;
}
