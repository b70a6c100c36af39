import { expect, it } from 'vitest';
import type { Authority } from '../authority.ts';
import { readCertificate } from '../certificate.ts';
import type { PkiCode } from '../codes.ts';
import { type PathQuestion, validatePath } from '../path.ts';
import { base64, certify, domainA, type LeafPlan, NOW_MS, timeAt, type World } from './chains.ts';
import { askOpenSsl } from './openssl.ts';

/** What a row shows both of us; what is absent is good. */
export type Shown = {
  readonly leaf: Uint8Array;
  readonly above?: readonly Uint8Array[];
  readonly roots?: readonly Uint8Array[];
  readonly crls?: readonly Uint8Array[];
  readonly purpose?: 'serverAuth' | 'clientAuth';
};

/** Name, what is shown, our verdict, OpenSSL's, and why ours is stricter where it is. */
export type Row = readonly [name: string, shown: Shown, ours: PkiCode | 'ok', openssl: RegExp, stricter?: string];

export const OK = /^OK$/;

export function questionOf({ root, a }: World, crls: readonly Uint8Array[], shown: Shown): PathQuestion {
  const { leaf, above = [a.certificate], roots = [root.certificate], crls: lists = crls, purpose = 'serverAuth' } = shown;
  return { chain: [leaf, ...above].map(base64), roots, crls: lists, at: timeAt(NOW_MS), purpose };
}

/** Each row: both verdicts as written down, and ours never laxer; stricter only with a reason. */
export function compareWithOpenSsl(world: World, crls: readonly Uint8Array[], rows: readonly Row[]): void {
  it.each(rows.map((row) => [row[0], row] as const))('%s', (_, [, shown, ours, openssl, stricter]) => {
    const question = questionOf(world, crls, shown);
    const result = validatePath(question);
    const said = askOpenSsl({
      chain: question.chain.map((der) => Buffer.from(der, 'base64')),
      roots: question.roots,
      crls: question.crls,
      atMs: NOW_MS,
      purpose: question.purpose === 'clientAuth' ? 'sslclient' : 'sslserver',
    });
    expect(result.ok ? 'ok' : result.code).toBe(ours);
    expect(said).toMatch(openssl);
    const isLaxer = result.ok && said !== 'OK';
    const isStricterUnexplained = !result.ok && said === 'OK' && stricter === undefined;
    expect({ isLaxer, isStricterUnexplained }).toEqual({ isLaxer: false, isStricterUnexplained: false });
  });
}

export function serialOf(der: Uint8Array): string {
  const read = readCertificate(der);
  if (!read.ok) throw new Error(read.text);
  return read.value.serial;
}

/** An authority laid out by hand under another, with whatever may be wrong about it. */
export function authorityUnder(
  issuer: Authority,
  plan: Omit<LeafPlan, 'issuer' | 'names'> & { readonly name: string },
): Authority {
  // Authorities carry no names: an extension that means nothing stands in.
  const names = { id: '2.5.29.99', critical: false, value: '\x05\x00' };
  const certificate = certify({ ...plan, issuer, names });
  return { name: plan.name, domain: domainA, certificate, notAfterMs: NOW_MS, keys: plan.keys };
}
