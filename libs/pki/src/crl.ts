import type { Digest } from '@carnet/events';
import { accept, type Checked, refuse, sha256Hex } from '@carnet/trust';
import { Integer } from 'asn1js';
import { CertificateRevocationList, type Extension } from 'pkijs';
import {
  type Certificate,
  hex,
  isSignedBy,
  isStrongAlgorithm,
  readSerial,
  type SignedPart,
  signatureOctets,
} from './certificate.ts';
import type { PkiCode } from './codes.ts';
import type { CrlMarks, MarkVerdict } from './crl-marks.ts';
import { Malformed } from './extensions.ts';
import { CRL_BYTES_MAX } from './limits.ts';
import { OID } from './oids.ts';

/** A complete CRL as plain data. Times are Unix milliseconds. */
export type Crl = SignedPart & {
  /** SHA-256 of its DER. */
  readonly digest: Digest;
  readonly issuer: string;
  readonly number: bigint;
  readonly thisUpdateMs: number;
  /** Absent: never fresh. */
  readonly nextUpdateMs?: number;
  /** Serial number in hexadecimal → time of revocation. */
  readonly revoked: ReadonlyMap<string, number>;
  /** Delta or partial (issuing distribution point), or a critical extension that nothing here understands. */
  readonly isPlain: boolean;
};

type CrlCode = Extract<PkiCode, `CRL_${string}` | 'REVOKED'>;

/** `clockMs` judges freshness, unless age is not judged; revocations dated after `ignoreAfterMs` do not count; `marks` remembers numbers. */
export type CrlQuestion = {
  readonly clockMs: number;
  readonly crlAge?: 'not judged';
  readonly ignoreAfterMs: number;
  readonly marks?: CrlMarks;
};

// A cache of pure results: CRLs come from files and are asked about for each certificate. The bytes must not be changed.
const read = new WeakMap<Uint8Array, Checked<Crl, 'CRL_MALFORMED'>>();

/** RFC 5280, section 5. */
export function readCrl(der: Uint8Array): Checked<Crl, 'CRL_MALFORMED'> {
  const known = read.get(der);
  if (known !== undefined) return known;
  const result = parseChecked(der);
  read.set(der, result);
  return result;
}

function parseChecked(der: Uint8Array): Checked<Crl, 'CRL_MALFORMED'> {
  if (der.length > CRL_BYTES_MAX)
    return refuse('CRL_MALFORMED', `expected a CRL of at most ${CRL_BYTES_MAX} bytes, got ${der.length}`);
  try {
    return accept(parse(der));
  } catch {
    return refuse('CRL_MALFORMED', 'expected an X.509 v2 CRL in DER');
  }
}

function parse(der: Uint8Array): Crl {
  const asn1 = CertificateRevocationList.fromBER(der);
  // asn1js takes BER, and lengths that do not fit: only what encodes to the same bytes is DER.
  if (hex(asn1.toSchema().toBER()) !== hex(der)) throw new Malformed('not DER');
  if (!asn1.signature.isEqual(asn1.signatureAlgorithm)) throw new Malformed('two signature algorithms');
  const extensions = asn1.crlExtensions?.extensions ?? [];
  const entries = asn1.revokedCertificates ?? [];
  const entryExtensions = entries.flatMap((entry) => entry.crlEntryExtensions?.extensions ?? []);
  return {
    digest: sha256Hex(der),
    issuer: hex(asn1.issuer.valueBeforeDecode),
    number: crlNumber(extensions),
    thisUpdateMs: asn1.thisUpdate.value.getTime(),
    ...(asn1.nextUpdate === undefined ? {} : { nextUpdateMs: asn1.nextUpdate.value.getTime() }),
    revoked: new Map(entries.map((entry) => [serialOf(entry.userCertificate), entry.revocationDate.value.getTime()])),
    isPlain: asn1.version === 1 && ![...extensions, ...entryExtensions].some(({ critical }) => critical),
    tbs: asn1.tbsView,
    signatureAlgorithm: asn1.signatureAlgorithm.algorithmId,
    signature: signatureOctets(asn1.signatureValue),
  };
}

/** An odd serial number is nobody's: kept under its own spelling, it revokes nothing. */
const serialOf = (serial: Integer): string =>
  readSerial(serial.valueBlock.valueHexView) ?? `odd ${hex(serial.valueBlock.valueHexView)}`;

/** A list without number is older than any with one. */
function crlNumber(extensions: readonly Extension[]): bigint {
  const value = extensions.find(({ extnID }) => extnID === OID.crlNumber)?.parsedValue;
  return value instanceof Integer ? BigInt(`0x${hex(value.valueBlock.valueHexView)}`) : -1n;
}

/**
 * Whether the issuer's newest CRL clears a certificate. Fails closed: no list, a stale list or a list that is not understood
 * is a refusal. Unlike OpenSSL, every list of that issuer must be readable and signed: a forged one beside a good one means
 * that somebody wrote into our folder.
 */
export function checkRevocation(
  certificate: Certificate,
  issuer: Certificate,
  crls: readonly Uint8Array[],
  { clockMs, crlAge, ignoreAfterMs, marks }: CrlQuestion,
): Checked<null, CrlCode> {
  const found = newestOf(issuer, crls);
  if (!found.ok) return found;
  const crl = found.value;
  const fresh = crlAge === 'not judged' ? accept(null) : checkAge(crl, clockMs);
  if (!fresh.ok) return fresh;
  const numbered = checkNumber(crl, issuer, marks);
  if (!numbered.ok) return numbered;
  const revokedMs = crl.revoked.get(certificate.serial);
  if (revokedMs === undefined || revokedMs > ignoreAfterMs) return accept(null);
  return refuse('REVOKED', 'expected a certificate that is not revoked', { got: `serial ${certificate.serial}` });
}

function checkAge({ thisUpdateMs, nextUpdateMs }: Crl, clockMs: number): Checked<null, CrlCode> {
  // Written so that a time that is no number (NaN) is refused.
  if (!(thisUpdateMs <= clockMs)) return refuse('CRL_NOT_YET_VALID', 'expected a CRL that has begun', timeOf(thisUpdateMs));
  if (nextUpdateMs !== undefined && clockMs < nextUpdateMs) return accept(null);
  return refuse('CRL_STALE', 'expected a CRL before its next update', timeOf(nextUpdateMs));
}

const NUMBER_CODES = {
  'number went back': 'CRL_NUMBER_BACK',
  'number used twice': 'CRL_NUMBER_REUSED',
  'cannot be written': 'CRL_MARK_UNWRITTEN',
} as const satisfies Readonly<Record<Exclude<MarkVerdict, 'kept'>, PkiCode>>;

/** Its signature was verified, and its time has come: what it says is the issuer's own word. */
function checkNumber({ number, digest }: Crl, issuer: Certificate, marks: CrlMarks | undefined): Checked<null, CrlCode> {
  if (marks === undefined) return accept(null);
  const verdict = marks.keep({ issuer: keyDigest(issuer), number, list: digest });
  if (verdict === 'kept') return accept(null);
  return refuse(NUMBER_CODES[verdict], 'expected a CRL that follows those seen before', { got: `number ${number}` });
}

// As above: exporting a key takes longer than all the rest of this question.
const keyDigests = new WeakMap<Certificate, Digest>();

function keyDigest(issuer: Certificate): Digest {
  const known = keyDigests.get(issuer) ?? sha256Hex(issuer.publicKey.export({ format: 'der', type: 'spki' }));
  keyDigests.set(issuer, known);
  return known;
}

/** By number, not by date: two lists of one minute must not be a matter of order. */
function newestOf(issuer: Certificate, crls: readonly Uint8Array[]): Checked<Crl, CrlCode> {
  let newest: Crl | undefined;
  for (const der of crls) {
    const crl = readCrl(der);
    if (!crl.ok) return crl;
    if (crl.value.issuer !== issuer.subject) continue;
    const usable = checkList(crl.value, issuer);
    if (!usable.ok) return usable;
    if (newest === undefined || crl.value.number > newest.number) newest = crl.value;
  }
  return newest === undefined ? refuse('CRL_MISSING', 'expected a CRL of each issuer') : accept(newest);
}

/** Only the issuer itself signs its list: indirect CRLs would need an extension that is refused as critical. */
function checkList(crl: Crl, issuer: Certificate): Checked<null, CrlCode> {
  if (!crl.isPlain) return refuse('CRL_UNSUPPORTED', 'expected a complete CRL without critical extensions');
  if (issuer.keyUsage?.has('cRLSign') !== true || !isSigned(crl, issuer)) {
    return refuse('CRL_SIGNATURE_INVALID', 'expected a CRL signed by its issuer');
  }
  return accept(null);
}

// As above: the same list is asked about for each certificate of an issuer.
const signedUnder = new WeakMap<Crl, Digest>();

function isSigned(crl: Crl, issuer: Certificate): boolean {
  if (signedUnder.get(crl) === issuer.digest) return true;
  if (!isStrongAlgorithm(crl) || !isSignedBy(crl, issuer.publicKey)) return false;
  signedUnder.set(crl, issuer.digest);
  return true;
}

const timeOf = (ms: number | undefined): { readonly got: string } => ({
  got: ms === undefined || Number.isNaN(ms) ? 'none' : new Date(ms).toISOString(),
});
