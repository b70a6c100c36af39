import { type BreakGlassPerson, PAYLOAD_TYPES, type Reason, type TrustDomain } from '@carnet/events';
import type { PeerIdentity } from '@carnet/pki';
import { BREAK_GLASS_CODES, type BreakGlassCase, breakGlassFault, type Glass } from '@carnet/policy';
import { policyCrypto } from '@carnet/publisher';
import type { Fact, MigrationState } from '@carnet/saga';
import { openEnvelope, parseStrictJson } from '@carnet/trust';
import { reasonOf } from '../reason.ts';
import type { IdentifyIn } from './requests.ts';

type Words = Pick<Fact<'BreakGlassResumed'>['data'], 'persons' | 'owner' | 'policy'>;

/** The release that is in doubt, by the ledgers; `undefined`: nothing was released. */
export function breakGlassCase(m: MigrationState, time: string): BreakGlassCase | undefined {
  const { MigrationIntended: intent, KeyReleased: released } = m.facts;
  if (intent === undefined || released === undefined) return undefined;
  const { id: migration, vm, epoch, source, target } = m;
  return { migration, vm, epoch, source, target, release: released.digest, owner: intent.data.spec.restrictions?.owner, time };
}

/** What policy is asked about; `undefined`: nothing was released. */
export function glassOf({ facts: { MigrationIntended: intent, KeyReleased: released } }: MigrationState): Glass | undefined {
  if (intent === undefined || released === undefined) return undefined;
  const { vm, source, target, mode, spec } = intent.data;
  return { vm, source, target, mode, spec, released: released.time };
}

/** Why persons and owner have not said what breaks this glass. Whoever signed must be good by `identify`, now. */
export async function breakGlassReason(identify: IdentifyIn, words: Words, of: BreakGlassCase): Promise<Reason | undefined> {
  const identities = new Map<BreakGlassPerson, PeerIdentity | undefined>();
  for (const person of words.persons) identities.set(person, await identify(of.source, person.certificate));
  const openPerson = (person: BreakGlassPerson): unknown => openSigned(identities.get(person), person, of.source);
  const code = breakGlassFault({ signed: policyCrypto.signed, openPerson }, words, of);
  return code === undefined ? undefined : reasonOf(code, BREAK_GLASS_CODES[code].text);
}

function openSigned(identity: PeerIdentity | undefined, person: BreakGlassPerson, source: TrustDomain): unknown {
  if (identity === undefined || identity.domain !== source || identity.spiffeId !== person.principal) return undefined;
  const opened = openEnvelope(Buffer.from(JSON.stringify(person.envelope)), PAYLOAD_TYPES.breakGlass, (keyid) =>
    keyid === identity.leafDigest ? identity.verifier : undefined,
  );
  const json = opened.ok ? parseStrictJson(opened.value.payload) : opened;
  return json.ok ? json.value : undefined;
}
