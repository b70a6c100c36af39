import {
  type BreakGlassDecision,
  type BreakGlassPerson,
  type BreakGlassResumed,
  type BreakGlassStatement,
  breakGlassStatement,
  CLOCK_SKEW_MS_MAX,
  type Digest,
  type Epoch,
  isSamePerson,
  type MigrationId,
  PAYLOAD_TYPES,
  type TrustDomain,
  type VmId,
} from '@carnet/events';
import type { Crypto } from './crypto.ts';
import { BREAK_GLASS_STATEMENT_MS_MAX } from './limits.ts';

/** Why the words under a broken glass do not carry it, each with a sentence and what to do next. */
export const BREAK_GLASS_CODES = {
  BREAK_GLASS_OWNER_UNKNOWN: {
    text: 'The VM names no owner’s key, so nobody can say for its owner that the target is fenced.',
    advice:
      'The glass cannot be broken for this VM. Have the target answer; name an owner (`carnet vm restrict`) before the next move.',
  },
  BREAK_GLASS_OWNER_FALSE: {
    text: 'The owner’s statement is not signed by the key that the VM names, or is about something else.',
    advice: 'Have the owner sign with `carnet migration break-glass sign --owner-key` what the broker shows of this migration.',
  },
  BREAK_GLASS_PERSON_FALSE: {
    text: 'A statement is not signed by a named operator of the source, or is about something else.',
    advice:
      'Two persons sign with their own operator certificates (spiffe://CSP/operator/NAME): `carnet migration break-glass sign`.',
  },
  BREAK_GLASS_ONE_PERSON: {
    text: 'Two statements are of one person.',
    advice: 'Have another person sign.',
  },
  BREAK_GLASS_EXPIRED: {
    text: 'A statement is not good at this time.',
    advice: 'Have it signed anew; statements are good for a day at most.',
  },
  BREAK_GLASS_DENIED: {
    text: 'The policies of the source do not let everybody who signed break this glass.',
    advice:
      'The reasons name person and policy. Have somebody else sign; where no policy permits it, have an administrator add a permit for the action break-glass, and raise the version in set.json.',
  },
} as const;
export type BreakGlassCode = keyof typeof BREAK_GLASS_CODES;

/** The release in doubt, as the ledgers have it; `owner`: of the VM's restrictions in its intent; `time`: of the event. */
export type BreakGlassCase = {
  readonly migration: MigrationId;
  readonly vm: VmId;
  readonly epoch: Epoch;
  readonly release: Digest;
  readonly source: TrustDomain;
  readonly target: TrustDomain;
  readonly owner: string | undefined;
  readonly time: string;
};

export type BreakGlassPorts = Pick<Crypto, 'signed'> & {
  /** What the envelope holds, if the certificate is good for exactly this principal of the source and its key signed it. */
  readonly openPerson: (person: BreakGlassPerson) => unknown;
};

/**
 * Whether two persons of the source and the VM's owner have said what breaks this glass. The same words are judged by the source before
 * it decides, by the target before it stops, and by the auditor: each with its own trust in certificates.
 */
export function breakGlassFault(
  ports: BreakGlassPorts,
  { persons, owner, policy }: Pick<BreakGlassResumed, 'persons' | 'owner' | 'policy'>,
  of: BreakGlassCase,
): BreakGlassCode | undefined {
  if (of.owner === undefined) return 'BREAK_GLASS_OWNER_UNKNOWN';
  for (const [index, person] of persons.entries()) {
    if (!person.principal.startsWith(`spiffe://${of.source}/operator/`)) return 'BREAK_GLASS_PERSON_FALSE';
    if (persons.slice(0, index).some((other) => isSamePerson(other.principal, person.principal))) return 'BREAK_GLASS_ONE_PERSON';
    const said = statedIn(ports.openPerson(person), 'resume-at-source', of);
    if (said === undefined) return 'BREAK_GLASS_PERSON_FALSE';
    if (!isGood(said, of.time)) return 'BREAK_GLASS_EXPIRED';
  }
  const said = statedIn(ports.signed(owner, PAYLOAD_TYPES.breakGlass, of.owner), 'target-is-fenced', of);
  if (said === undefined) return 'BREAK_GLASS_OWNER_FALSE';
  if (!isGood(said, of.time)) return 'BREAK_GLASS_EXPIRED';
  return policy === undefined || isPermitted(persons, policy) ? undefined : 'BREAK_GLASS_DENIED';
}

/** By what the source itself quotes: whether its policies say so is for whoever has their files. */
const isPermitted = (persons: readonly BreakGlassPerson[], policy: readonly BreakGlassDecision[]): boolean =>
  policy.length === persons.length &&
  policy.every(({ allowed, asked }, index) => allowed && asked.principal === persons[index]?.principal);

function statedIn(payload: unknown, says: BreakGlassStatement['says'], of: BreakGlassCase): BreakGlassStatement | undefined {
  const stated = breakGlassStatement.safeParse(payload).data;
  const names = ['migration', 'vm', 'epoch', 'release', 'target'] as const;
  return stated?.says === says && names.every((name) => stated[name] === of[name]) ? stated : undefined;
}

const isGood = ({ at, notAfter }: BreakGlassStatement, time: string): boolean =>
  Date.parse(at) <= Date.parse(time) + CLOCK_SKEW_MS_MAX &&
  time <= notAfter &&
  Date.parse(notAfter) <= Date.parse(at) + BREAK_GLASS_STATEMENT_MS_MAX;
