import { OctetString } from 'asn1js';
import type { GeneralName, GeneralSubtree, NameConstraints } from 'pkijs';
import { GENERAL_NAME } from './oids.ts';

/** A subject alternative name. `other`: a kind (GeneralName tag) that Carnet's certificates never carry. */
export type SubjectName =
  | { readonly kind: 'uri' | 'dns'; readonly text: string }
  | { readonly kind: 'ip'; readonly octets: readonly number[] }
  | { readonly kind: 'other'; readonly tag: number };

/** Subtrees are names as certificates spell them; an IP subtree is address then mask. */
export type NameConstraintSet = {
  readonly isCritical: boolean;
  readonly permitted: readonly SubjectName[];
  readonly excluded: readonly SubjectName[];
  /** Some subtree is of a kind, or has bounds, that is not understood: nothing below may be accepted. */
  readonly isUnderstood: boolean;
};

/** `malformed`: the name cannot be compared at all, so it cannot be shown to be permitted. */
export type NameVerdict = 'permitted' | 'not permitted' | 'malformed';

export function readName(name: GeneralName): SubjectName {
  // pkijs types the value by the tag at run time only.
  const value: unknown = name.value;
  if (name.type === GENERAL_NAME.uri && typeof value === 'string') return { kind: 'uri', text: value };
  if (name.type === GENERAL_NAME.dns && typeof value === 'string') return { kind: 'dns', text: value };
  if (name.type === GENERAL_NAME.ip && value instanceof OctetString)
    return { kind: 'ip', octets: [...value.valueBlock.valueHexView] };
  return { kind: 'other', tag: name.type };
}

export function readConstraints(value: NameConstraints, criticality: 'critical' | 'not critical'): NameConstraintSet {
  const permitted = value.permittedSubtrees ?? [];
  const excluded = value.excludedSubtrees ?? [];
  return {
    isCritical: criticality === 'critical',
    permitted: permitted.map(({ base }) => readName(base)),
    excluded: excluded.map(({ base }) => readName(base)),
    isUnderstood: permitted.length + excluded.length > 0 && [...permitted, ...excluded].every(isUnderstood),
  };
}

/** RFC 5280, section 4.2.1.10: minimum is 0 and maximum absent, always. */
function isUnderstood(subtree: GeneralSubtree): boolean {
  if (subtree.minimum !== 0 || subtree.maximum !== undefined) return false;
  const name = readName(subtree.base);
  if (name.kind === 'other') return false;
  return name.kind !== 'ip' || name.octets.length === 8 || name.octets.length === 32;
}

/** Whether an authority with these constraints may issue this name (RFC 5280, section 6.1.3, b and c). */
export function judgeName(name: SubjectName, constraints: NameConstraintSet): NameVerdict {
  if (!isReadable(name)) return 'malformed';
  if (constraints.excluded.some((subtree) => isWithin(name, subtree))) return 'not permitted';
  const ofKind = constraints.permitted.filter(({ kind }) => kind === name.kind);
  return ofKind.length === 0 || ofKind.some((subtree) => isWithin(name, subtree)) ? 'permitted' : 'not permitted';
}

const DNS_NAME = /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** A host under no encoding, port, user or IP literal: such spellings hide which host is meant. */
export function hostOfUri(uri: string): string | undefined {
  const authority = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/.exec(uri)?.[1];
  return authority !== undefined && DNS_NAME.test(authority) ? authority : undefined;
}

/** No wildcards, no upper case, no trailing dot: Carnet's names have one spelling. */
export function isReadable(name: SubjectName): boolean {
  switch (name.kind) {
    case 'uri':
      return hostOfUri(name.text) !== undefined;
    case 'dns':
      return DNS_NAME.test(name.text);
    case 'ip':
      return name.octets.length === 4 || name.octets.length === 16;
    case 'other':
      return false;
  }
}

/** A constraint speaks about names of its own kind only. */
function isWithin(name: SubjectName, subtree: SubjectName): boolean {
  if (name.kind === 'uri' && subtree.kind === 'uri') return isUriWithin(name.text, subtree.text);
  if (name.kind === 'dns' && subtree.kind === 'dns') return isDnsWithin(name.text, subtree.text.toLowerCase());
  if (name.kind === 'ip' && subtree.kind === 'ip') return isIpWithin(name.octets, subtree.octets);
  return false;
}

/** With a leading dot: subdomains only; without: that host only. */
function isUriWithin(uri: string, subtree: string): boolean {
  const host = hostOfUri(uri);
  const base = subtree.toLowerCase();
  return host !== undefined && (base.startsWith('.') ? host.endsWith(base) : host === base);
}

/** The name itself and whatever adds labels on its left; the empty subtree holds every name. */
function isDnsWithin(name: string, base: string): boolean {
  if (base === '') return true;
  return base.startsWith('.') ? name.endsWith(base) : name === base || name.endsWith(`.${base}`);
}

/** Address families differ in length: an IPv4 constraint says nothing about IPv6. */
function isIpWithin(address: readonly number[], subtree: readonly number[]): boolean {
  if (subtree.length !== address.length * 2) return false;
  return address.every((octet, i) => {
    const mask = subtree[address.length + i] ?? 0;
    return (octet & mask) === ((subtree[i] ?? 0) & mask);
  });
}
