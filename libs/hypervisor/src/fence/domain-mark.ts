import { XMLParser } from 'fast-xml-parser';
import { METADATA_NAMESPACE } from '../domain-xml.ts';

/** What a domain's XML says of whom it is: its UUID in libvirt's spelling, and whether it bears our mark. */
export type DomainMark = { readonly uuid: string | undefined; readonly marked: boolean };

const parser = new XMLParser({ ignoreAttributes: true, parseTagValue: false, processEntities: false });
const HEX_DIGITS = 32;

/**
 * Reads what libvirt gives to its hook. That is libvirt's own writing, or for a restore with `--xml` an administrator's, who may
 * spell the UUID in capitals or without dashes. XML that cannot be read has no UUID; the mark is found all the same.
 */
export function domainMark(xml: string): DomainMark {
  const marked = xml.includes(METADATA_NAMESPACE);
  try {
    const parsed: unknown = parser.parse(xml);
    return { uuid: uuidIn(textAt(textAt(parsed, 'domain'), 'uuid')), marked };
  } catch {
    return { uuid: undefined, marked };
  }
}

const textAt = (node: unknown, name: string): unknown =>
  typeof node === 'object' && node !== null ? Reflect.get(node, name) : undefined;

function uuidIn(value: unknown): string | undefined {
  const digits = typeof value === 'string' ? value.replaceAll(/[\s-]/g, '').toLowerCase() : '';
  if (digits.length !== HEX_DIGITS || !/^[0-9a-f]+$/.test(digits)) return undefined;
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
