import { BitString, OctetString } from 'asn1js';
import { AltName, AuthorityKeyIdentifier, BasicConstraints, type Extension, ExtKeyUsage, NameConstraints } from 'pkijs';
import { NAMES_MAX } from './limits.ts';
import { type NameConstraintSet, readConstraints, readName, type SubjectName } from './names.ts';
import { KEY_USAGE_BITS, type KeyUsage, OID } from './oids.ts';

/** The extensions that path validation reads, as plain data. Key identifiers are hexadecimal. */
export type CertificateExtensions = {
  readonly authority?: { readonly isCritical: boolean; readonly pathLength?: number };
  readonly keyUsage?: ReadonlySet<KeyUsage>;
  readonly extendedKeyUsage?: readonly string[];
  readonly names: readonly SubjectName[];
  readonly constraints?: NameConstraintSet;
  readonly subjectKeyId?: string;
  readonly authorityKeyId?: string;
  /** Object identifiers of critical extensions that nothing here understands. */
  readonly unknownCritical: readonly string[];
};

/** Thrown while reading; `readCertificate` and `readCrl` turn it into a refusal. */
export class Malformed extends Error {}

/** Each extension at most once (RFC 5280, section 4.2): with two, readers differ in which one counts. */
export function readExtensions(extensions: readonly Extension[]): CertificateExtensions {
  const found = new Map(extensions.map((extension) => [extension.extnID, extension]));
  if (found.size !== extensions.length) throw new Malformed('an extension twice');
  return {
    ...basicConstraints(found.get(OID.basicConstraints)),
    ...keyUsage(found.get(OID.keyUsage)),
    ...extendedKeyUsage(found.get(OID.extKeyUsage)),
    ...nameConstraints(found.get(OID.nameConstraints)),
    ...subjectKeyId(found.get(OID.subjectKeyIdentifier)),
    ...authorityKeyId(found.get(OID.authorityKeyIdentifier)),
    names: subjectNames(found.get(OID.subjectAltName)),
    unknownCritical: extensions.filter(({ critical, extnID }) => critical && !UNDERSTOOD.has(extnID)).map(({ extnID }) => extnID),
  };
}

/** What may be critical. Key identifiers must not be (RFC 5280, sections 4.2.1.1 and 4.2.1.2). */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  OID.basicConstraints,
  OID.keyUsage,
  OID.extKeyUsage,
  OID.nameConstraints,
  OID.subjectAltName,
]);

/** pkijs leaves an extension that it cannot decode as something else, with no error. */
function decoded<T extends object>({ parsedValue }: Extension, kind: abstract new (...args: never[]) => T): T {
  if (!(parsedValue instanceof kind) || 'parsingError' in parsedValue) throw new Malformed(`expected ${kind.name}`);
  return parsedValue;
}

type Part = Partial<CertificateExtensions>;

/** An authority is one that says so; a path length without it contradicts itself. */
function basicConstraints(extension: Extension | undefined): Part {
  if (extension === undefined) return {};
  const { cA, pathLenConstraint } = decoded(extension, BasicConstraints);
  if (pathLenConstraint !== undefined && (typeof pathLenConstraint !== 'number' || pathLenConstraint < 0))
    throw new Malformed('absurd path length');
  if (!cA && pathLenConstraint !== undefined) throw new Malformed('path length of no authority');
  if (!cA) return {};
  const isCritical = extension.critical;
  return { authority: pathLenConstraint === undefined ? { isCritical } : { isCritical, pathLength: pathLenConstraint } };
}

function extendedKeyUsage(extension: Extension | undefined): Part {
  return extension === undefined ? {} : { extendedKeyUsage: [...decoded(extension, ExtKeyUsage).keyPurposes] };
}

function nameConstraints(extension: Extension | undefined): Part {
  if (extension === undefined) return {};
  return { constraints: readConstraints(decoded(extension, NameConstraints), extension.critical ? 'critical' : 'not critical') };
}

function subjectKeyId(extension: Extension | undefined): Part {
  return extension === undefined ? {} : { subjectKeyId: hexOf(decoded(extension, OctetString)) };
}

function authorityKeyId(extension: Extension | undefined): Part {
  const id = extension === undefined ? undefined : decoded(extension, AuthorityKeyIdentifier).keyIdentifier;
  return id === undefined ? {} : { authorityKeyId: hexOf(id) };
}

/** Bit 0 is the first bit of the first octet. */
function keyUsage(extension: Extension | undefined): Part {
  if (extension === undefined) return {};
  const octets = decoded(extension, BitString).valueBlock.valueHexView;
  const has = (bit: number): boolean => (((octets[Math.floor(bit / 8)] ?? 0) >> (7 - (bit % 8))) & 1) === 1;
  return { keyUsage: new Set(KEY_USAGES.filter(([, bit]) => has(bit)).map(([usage]) => usage)) };
}

const KEY_USAGES: readonly (readonly [KeyUsage, number])[] = [
  ['digitalSignature', KEY_USAGE_BITS.digitalSignature],
  ['keyEncipherment', KEY_USAGE_BITS.keyEncipherment],
  ['keyCertSign', KEY_USAGE_BITS.keyCertSign],
  ['cRLSign', KEY_USAGE_BITS.cRLSign],
];

/** Bounded: each name is held against each constraint of each authority. */
function subjectNames(extension: Extension | undefined): readonly SubjectName[] {
  if (extension === undefined) return [];
  const { altNames } = decoded(extension, AltName);
  if (altNames.length === 0 || altNames.length > NAMES_MAX)
    throw new Malformed(`expected 1 to ${NAMES_MAX} names, got ${altNames.length}`);
  return altNames.map(readName);
}

const hexOf = (octets: OctetString): string => Buffer.from(octets.valueBlock.valueHexView).toString('hex');
