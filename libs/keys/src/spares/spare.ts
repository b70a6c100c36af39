import { keyId } from '@carnet/events';
import { z } from 'zod';
import { digestOf } from '../bytes.ts';
import { isSameVersion, type Replaces, replaces } from '../records/holding.ts';
import { type WrappedDek, type WrappedKek, wrappedDek, wrappedKek } from '../vault/hierarchy.ts';

/**
 * What a lost row needs to be made again: the DEK under its tenant's KEK, and that KEK under the root. Only wrapped bytes: with the root they
 * open, without it they are noise. Everything else of the record stands in the signed events, and is taken from there.
 */
const spare = z.strictObject({ v: z.literal(1), dek: wrappedDek, kek: wrappedKek, replaces: replaces.optional() }).readonly();
export type Spare = { readonly dek: WrappedDek; readonly kek: WrappedKek; readonly replaces?: Replaces };

/** A holding, the KEK version that wraps its spare, and whose place it took: a spare's file is named by them, and none is ever changed. */
export type SpareName = Replaces & { readonly kekVersion: number; readonly replaces?: Replaces };

export const nameOf = ({ dek: { key, version, arrival, kekVersion }, replaces: of }: Spare): SpareName => ({
  key,
  version,
  arrival,
  kekVersion,
  ...(of === undefined ? {} : { replaces: of }),
});

export const isSameHolding = (a: Replaces, b: Replaces): boolean => isSameVersion(a, b) && a.arrival === b.arrival;

const holdingText = ({ key, version, arrival }: Replaces): string => `${key}.${version}.${arrival}`;
export const fileNameOf = (name: SpareName): string =>
  `${holdingText(name)}.k${name.kekVersion}${name.replaces === undefined ? '' : `.for.${holdingText(name.replaces)}`}`;

const FILE = /^([0-9a-f-]{36})\.(\d{1,9})\.(\d{1,15})\.k(\d{1,9})(?:\.for\.([0-9a-f-]{36})\.(\d{1,9})\.(\d{1,15}))?$/;

/** `undefined`: not a spare's, such as what a crash left half written. */
export function nameFrom(file: string): SpareName | undefined {
  const [, key, version, arrival, kekVersion, ofKey, ofVersion, ofArrival] = FILE.exec(file) ?? [];
  const holding = holdingFrom(key, version, arrival);
  if (holding === undefined) return undefined;
  const of = holdingFrom(ofKey, ofVersion, ofArrival);
  return { ...holding, kekVersion: Number(kekVersion), ...(of === undefined ? {} : { replaces: of }) };
}

function holdingFrom(key: string | undefined, version: string | undefined, arrival: string | undefined): Replaces | undefined {
  const parsed = keyId.safeParse(key);
  return parsed.success ? { key: parsed.data, version: Number(version), arrival: Number(arrival) } : undefined;
}

/** The record and its SHA-256, on one line each: what a disk or a hand changed is noticed before it is given to the root. */
export function encodeSpare({ dek, kek, replaces: of }: Spare): string {
  const text = JSON.stringify(spare.parse({ v: 1, dek, kek, ...(of === undefined ? {} : { replaces: of }) }));
  return `${text}\n${digestOf(Buffer.from(text))}\n`;
}

/** `undefined`: torn, changed, of another name, or of another version of this program. */
export function decodeSpare(bytes: string, name: SpareName): Spare | undefined {
  const [text = '', digest] = bytes.split('\n');
  if (digest !== digestOf(Buffer.from(text))) return undefined;
  const { success, data } = spare.safeParse(parsed(text));
  if (!success) return undefined;
  const { v: _, replaces: of, ...rest } = data;
  const found: Spare = { ...rest, ...(of === undefined ? {} : { replaces: of }) };
  const isWhole = found.kek.tenant === found.dek.tenant && found.kek.version === found.dek.kekVersion;
  return isWhole && fileNameOf(nameOf(found)) === fileNameOf(name) ? found : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
