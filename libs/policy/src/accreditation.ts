import {
  type AccreditationStatement,
  accreditationStatement,
  type DsseEnvelope,
  PAYLOAD_TYPES,
  type PolicyQuestion,
} from '@carnet/events';
import type { Accreditations, Accreditor } from './accreditors.ts';
import type { PolicyCode } from './codes.ts';
import type { Crypto } from './crypto.ts';
import type { Move } from './question.ts';
import { restrictionsOf } from './restrictions.ts';

/** Why a CSP has not what a VM demands, the nearest to having it last. */
export const ACCREDITATION_FAULTS = [
  'ACCREDITATION_MISSING',
  'ACCREDITATION_NOT_ACCEPTED',
  'ACCREDITATION_EXPIRED',
  'ACCREDITATION_REVOKED',
] as const satisfies readonly PolicyCode[];
export type AccreditationFault = (typeof ACCREDITATION_FAULTS)[number];
/** `context.accreditation` where nothing is missing. */
export const ACCREDITED = 'GIVEN';

/** What is believed of a CSP, by whose word, at that time. */
export type Accredited = {
  /** `<accreditor>:<claim>`, sorted, each once. */
  readonly claims: readonly string[];
  /** The highest level that an accreditor saw there; 0: none said. */
  readonly level: number;
  /** Why a demanded claim is not among them. */
  readonly faultOf: (claim: string) => AccreditationFault;
};

type Judged = { readonly stated: AccreditationStatement; readonly fault?: AccreditationFault };

/** @param shown tokens that came with an intent, beside those that the set knows */
export function accredited(
  crypto: Crypto,
  { accreditors, known }: Accreditations,
  csp: string,
  shown: readonly DsseEnvelope[],
  time: string,
): Accredited {
  const judged = [...known, ...shown].flatMap((token) => judge(crypto, accreditors, token, csp, time) ?? []);
  const good = judged.filter(({ fault }) => fault === undefined).map(({ stated }) => stated);
  return {
    claims: [...new Set(good.flatMap(claimsOf))].toSorted(),
    level: Math.max(0, ...good.map(({ level = 0 }) => level)),
    faultOf: (claim) => {
      const faults = judged.filter(({ stated }) => claimsOf(stated).includes(claim)).map(({ fault }) => fault);
      return ACCREDITATION_FAULTS.findLast((one) => faults.includes(one)) ?? 'ACCREDITATION_MISSING';
    },
  };
}

const claimsOf = ({ issuer, claims }: AccreditationStatement): readonly string[] => claims.map((claim) => `${issuer}:${claim}`);

/**
 * A token is signed by the accreditor that it names, or says nothing: one whose issuer nobody here accepts is read for its reason
 * alone, since nobody can say who signed it.
 */
function judge(
  crypto: Crypto,
  accreditors: readonly Accreditor[],
  token: DsseEnvelope,
  csp: string,
  time: string,
): Judged | undefined {
  const claimed = accreditationStatement.safeParse(crypto.unverified(token)).data;
  if (claimed?.subject !== csp) return undefined;
  const accreditor = accreditors.find(({ issuer }) => issuer === claimed.issuer);
  if (accreditor === undefined) return { stated: claimed, fault: 'ACCREDITATION_NOT_ACCEPTED' };
  const signed = crypto.signed(token, PAYLOAD_TYPES.accreditation, accreditor.publicKey);
  const stated = accreditationStatement.safeParse(signed).data;
  if (stated === undefined) return { stated: claimed, fault: 'ACCREDITATION_NOT_ACCEPTED' };
  if (accreditor.revoked.serials.includes(stated.serial)) return { stated, fault: 'ACCREDITATION_REVOKED' };
  return time < stated.notBefore || time > stated.notAfter ? { stated, fault: 'ACCREDITATION_EXPIRED' } : { stated };
}

/** Tokens that speak of this CSP: what it shows to others. They judge them. */
export const tokensAbout = (crypto: Crypto, { known }: Accreditations, csp: string): readonly DsseEnvelope[] =>
  known.filter((token) => accreditationStatement.safeParse(crypto.unverified(token)).data?.subject === csp);

/** Of the other CSP. The source judges by the tokens that its set knows; the target also by those that the source shows. */
export function accreditationOf(
  { crypto, accreditations }: { readonly crypto: Crypto; readonly accreditations: Accreditations },
  { action, source, target, time }: PolicyQuestion,
  about: Move,
) {
  const of =
    action === 'send'
      ? accredited(crypto, accreditations, target, [], time)
      : accredited(crypto, accreditations, source, about.accreditations ?? [], time);
  const missing = restrictionsOf(about.spec).accreditations?.find((claim) => !of.claims.includes(claim));
  return {
    accredited: [...of.claims],
    accreditedLevel: of.level,
    accreditation: missing === undefined ? ACCREDITED : of.faultOf(missing),
  };
}
