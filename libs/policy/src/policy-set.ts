import { type PolicyAnnounced, policyId, type RuledBy } from '@carnet/events';
import { z } from 'zod';
import { type Accreditations, accreditationsFile, accreditorsFile, readAccreditors } from './accreditors.ts';
import { BASE, BASE_IDS } from './base.ts';
import { canonicalText } from './canonical.ts';
import { isPolicyCode, type PolicyCode } from './codes.ts';
import type { Crypto } from './crypto.ts';
import { ENGINE, type Entity, faultOf, type PolicyText, parsePolicies, prepare } from './engine.ts';
import { entitiesFile, levelIn, mixedDuties, rolesIn, sortedEntities } from './entities.ts';
import { FILE_CHARS_MAX, POLICIES_MAX } from './limits.ts';
import type { Role } from './roles.ts';
import { SCHEMA } from './schema.ts';

/** Files of a set's folder, by name. */
export type PolicyFiles = ReadonlyMap<string, string>;

export const FILE = {
  set: 'set.json',
  entities: 'entities.json',
  accreditors: 'accreditors.json',
  accreditations: 'accreditations.json',
  base: 'carnet.cedar',
  schema: 'carnet.cedarschema',
} as const;

/** A whole, checked policy set. What has the same digest decides the same. */
export type PolicySet = {
  readonly ruledBy: RuledBy;
  /** What a ledger says of it before its first decision there. */
  readonly announced: PolicyAnnounced;
  readonly policies: readonly PolicyText[];
  readonly entities: readonly Entity[];
  readonly accreditations: Accreditations;
  readonly crypto: Crypto;
  /** Made for this version of Carnet: the only kind that a broker decides by. Auditors replay by any. */
  readonly isCurrent: boolean;
  /** What an archive keeps: the files that were read, with Carnet's own two beside them. */
  readonly files: PolicyFiles;
};
export type PolicyRefusal = { readonly ok: false; readonly code: PolicyCode; readonly text: string };
export type PolicyResult<T> = { readonly ok: true; readonly value: T } | PolicyRefusal;

const refuse = (code: PolicyCode, text: string): PolicyRefusal => ({ ok: false, code, text });
const accept = <T>(value: T): PolicyResult<T> => ({ ok: true, value });

const setFile = z.strictObject({ version: z.int().min(1), about: z.string().max(1_000).optional() });

/**
 * A set from its folder: `set.json` (version), `entities.json`, any `*.cedar`, perhaps `accreditors.json` and `accreditations.json`. Carnet's own policies and schema are added, unless the
 * folder, an archive, has those that were in force then.
 */
export function openPolicySet(files: PolicyFiles, crypto: Crypto): PolicyResult<PolicySet> {
  for (const [name, text] of files)
    if (text.length > FILE_CHARS_MAX) return refuse('POLICY_FILE_INVALID', `${name}: longer than ${FILE_CHARS_MAX} characters`);
  const set = jsonFile(files, FILE.set, setFile);
  if (!set.ok) return set;
  const entities = readEntities(files);
  if (!entities.ok) return entities;
  const accreditations = readAccreditations(files, crypto);
  if (!accreditations.ok) return accreditations;
  const schema = files.get(FILE.schema) ?? SCHEMA;
  const base = files.get(FILE.base) ?? BASE;
  const policies = readPolicies(files, base);
  if (!policies.ok) return policies;
  const fault = faultOf(schema, policies.value, entities.value);
  if (fault !== undefined) return refuse('POLICY_SCHEMA_VIOLATED', fault);
  const texts = Object.fromEntries(policies.value.map(({ id, text }) => [id, text]));
  const content = {
    version: set.value.version,
    schema,
    policies: texts,
    entities: entities.value,
    accreditations: accreditations.value,
  };
  const { hash } = crypto;
  const ruledBy: RuledBy = {
    policySet: hash(canonicalText(content)),
    version: set.value.version,
    schema: hash(schema),
    entities: hash(canonicalText(entities.value)),
    engine: ENGINE,
  };
  prepare(ruledBy.policySet, schema, policies.value);
  return accept({
    ruledBy,
    announced: announcedOf(ruledBy, accreditations.value),
    policies: policies.value,
    entities: entities.value,
    accreditations: accreditations.value,
    crypto,
    isCurrent: schema === SCHEMA && base === BASE,
    files: new Map([...files, [FILE.base, base], [FILE.schema, schema]].filter(isOfSet)),
  });
}

const isOfSet = (file: readonly string[]): file is [string, string] =>
  (file[0] ?? '').endsWith('.cedar') || Object.values<string>(FILE).includes(file[0] ?? '');

function jsonFile<T>(files: PolicyFiles, name: string, schema: z.ZodType<T>): PolicyResult<T> {
  const text = files.get(name);
  if (text === undefined) return refuse('POLICY_FILE_MISSING', name);
  const json = parseJson(text);
  const parsed = schema.safeParse(json);
  if (parsed.success) return accept(parsed.data);
  const faults = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
  return refuse('POLICY_FILE_INVALID', `${name}: ${json === undefined ? 'no JSON' : faults}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // what is no JSON matches no schema: the caller names the file
  }
}

function readEntities(files: PolicyFiles): PolicyResult<readonly Entity[]> {
  const read = jsonFile(files, FILE.entities, entitiesFile);
  if (!read.ok) return read;
  const entities = sortedEntities(read.value);
  if (entities === undefined) return refuse('POLICY_FILE_INVALID', `${FILE.entities}: an entity stands there twice`);
  const mixed = mixedDuties(entities);
  return mixed.length > 0 ? refuse('DUTIES_MIXED', mixed.join(', ')) : accept(entities);
}

/** Neither file has to be there: then no accreditor is accepted, or nobody's token is known. */
function readAccreditations(files: PolicyFiles, crypto: Crypto): PolicyResult<Accreditations> {
  const accreditors = files.has(FILE.accreditors) ? jsonFile(files, FILE.accreditors, accreditorsFile) : accept([]);
  if (!accreditors.ok) return accreditors;
  const known = files.has(FILE.accreditations) ? jsonFile(files, FILE.accreditations, accreditationsFile) : accept([]);
  if (!known.ok) return known;
  const read = readAccreditors(crypto, accreditors.value);
  return read.ok
    ? accept({ accreditors: read.value, known: known.value })
    : refuse('POLICY_FILE_INVALID', `${FILE.accreditors}: ${read.text}`);
}

function announcedOf(ruledBy: RuledBy, { accreditors }: Accreditations): PolicyAnnounced {
  const revocations = accreditors.map(({ issuer, revoked }) => ({ issuer, number: revoked.number }));
  return revocations.length === 0 ? ruledBy : { ...ruledBy, revocations };
}

/** Sorted by id: neither the order of files nor that of policies in them means anything. */
function readPolicies(files: PolicyFiles, base: string): PolicyResult<readonly PolicyText[]> {
  const texts: readonly (readonly [string, string])[] = [
    [FILE.base, base],
    ...[...files].filter(([name]) => name.endsWith('.cedar') && name !== FILE.base),
  ];
  const all: PolicyText[] = [];
  for (const [name, text] of texts) {
    const parsed = parsePolicies(text);
    if (!parsed.ok) return refuse('POLICY_SYNTAX', `${name}: ${parsed.text}`);
    for (const policy of parsed.value) {
      const fault = policyFault(name, policy, all);
      if (fault !== undefined) return fault;
      all.push(policy);
    }
  }
  if (all.length > POLICIES_MAX) return refuse('POLICY_FILE_INVALID', `more than ${POLICIES_MAX} policies`);
  return accept(all.toSorted((a, b) => (a.id < b.id ? -1 : 1)));
}

function policyFault(file: string, policy: PolicyText, before: readonly PolicyText[]): PolicyRefusal | undefined {
  const { id, effect, annotations, text } = policy;
  if (!policyId.safeParse(id).success) return refuse('POLICY_ID_INVALID', `${file}: ${id === '' ? text.slice(0, 80) : id}`);
  if (id.startsWith(BASE_IDS) !== (file === FILE.base)) return refuse('POLICY_ID_INVALID', `${file}: ${id} is reserved`);
  if (before.some((one) => one.id === id)) return refuse('POLICY_ID_INVALID', `${file}: ${id} stands there twice`);
  if (effect === 'permit') return undefined;
  const { reason = '', says, advice } = annotations;
  const isSaid = isPolicyCode(reason) || (/^[A-Z][A-Z0-9_]{2,63}$/.test(reason) && says !== undefined && advice !== undefined);
  return isSaid ? undefined : refuse('POLICY_REASON_MISSING', `${file}: ${id}`);
}

/** Roles that the set gives to a principal. */
export const rolesOf = ({ entities }: PolicySet, principal: string): readonly Role[] => rolesIn(entities, principal);
/** A host's security level. */
export const levelOf = ({ entities }: PolicySet, host: string): number => levelIn(entities, host);
/** CSPs that the set knows the place of. */
export const placesOf = ({ entities }: PolicySet): readonly string[] =>
  entities.filter(({ uid }) => uid.type === 'Csp').map(({ uid }) => uid.id);

/** To which jurisdictions a CSP answers, by this set; absent: the set does not know the CSP. */
export function jurisdictionsOf({ entities }: PolicySet, csp: string): readonly string[] | undefined {
  const said = entities.find(({ uid }) => uid.type === 'Csp' && uid.id === csp)?.attrs['jurisdictions'];
  return Array.isArray(said) ? said.filter((one) => typeof one === 'string') : undefined;
}

/** What was announced of rules, as far as an older one can be told by it. */
export type Announced = Pick<PolicyAnnounced, 'version' | 'policySet' | 'revocations'>;

/** The highest of all that was ever announced: an announcement in between, without a list or of an older set, must not hide it. */
export function highestAnnounced(before: Announced | undefined, { version, policySet, revocations }: Announced): Announced {
  const numbers = new Map<string, number>();
  for (const { issuer, number } of [...(before?.revocations ?? []), ...(revocations ?? [])])
    numbers.set(issuer, Math.max(number, numbers.get(issuer) ?? number));
  const highest = before !== undefined && before.version > version ? before : { version, policySet };
  return {
    version: highest.version,
    policySet: highest.policySet,
    revocations: [...numbers].map(([issuer, number]) => ({ issuer, number })),
  };
}

/** Why a set must not follow one that was used before: rules that were tightened would be loosened by an old file. */
export function downgradeOf({ announced }: Pick<PolicySet, 'announced'>, last: Announced | undefined): PolicyRefusal | undefined {
  if (last === undefined) return undefined;
  if (announced.version < last.version)
    return refuse('POLICY_DOWNGRADE', `version ${announced.version} after version ${last.version}`);
  if (announced.version === last.version && announced.policySet !== last.policySet)
    return refuse(
      'POLICY_VERSION_REUSED',
      `version ${announced.version} was ${last.policySet}, and is now ${announced.policySet}`,
    );
  const older = (last.revocations ?? []).find(({ issuer, number }) =>
    announced.revocations?.some((now) => now.issuer === issuer && now.number < number),
  );
  return older === undefined
    ? undefined
    : refuse('REVOCATIONS_DOWNGRADED', `the revocations of ${older.issuer} were at number ${older.number}`);
}
