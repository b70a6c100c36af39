import {
  type ConsentStatement,
  consentStatement,
  type Digest,
  type DsseEnvelope,
  PAYLOAD_TYPES,
  type VmSpec,
} from '@carnet/events';
import { canonicalText } from './canonical.ts';
import type { PolicyCode } from './codes.ts';
import type { Crypto, Hash } from './crypto.ts';
import type { Move } from './question.ts';
import { restrictionsOf } from './restrictions.ts';

/** Why an owner's consent does not cover a move, in the order in which it is judged. */
export const CONSENT_FAULTS = [
  'CONSENT_MISSING',
  'CONSENT_INVALID',
  'CONSENT_OTHER_VM',
  'CONSENT_OTHER_IMAGE',
  'CONSENT_OTHER_DESTINATION',
  'CONSENT_OTHER_MODE',
  'CONSENT_OUTSIDE_WINDOW',
  'CONSENT_USED',
] as const satisfies readonly PolicyCode[];
export type ConsentFault = (typeof CONSENT_FAULTS)[number];
/** `context.consent` of a move that its owner has consented to; else it is the fault. */
export const CONSENT_GIVEN = 'GIVEN';

/** What a consent calls the image: the VM without what its CSPs say of it. A re-keyed disk is another one. */
export function imageOf(spec: VmSpec, hash: Hash): Digest {
  const { restrictions: _, ...machine } = spec;
  return hash(canonicalText(machine));
}

/** Nothing is believed of it before the owner's signature holds. */
export function consentTo(crypto: Crypto, move: Move, time: string): typeof CONSENT_GIVEN | ConsentFault {
  const { owner } = restrictionsOf(move.spec);
  if (move.consent === undefined) return 'CONSENT_MISSING';
  const stated = owner === undefined ? undefined : statedBy(crypto, owner, move.consent);
  if (stated === undefined) return 'CONSENT_INVALID';
  return coverage(crypto.hash, stated, move, time);
}

const statedBy = (crypto: Crypto, owner: string, envelope: DsseEnvelope): ConsentStatement | undefined =>
  consentStatement.safeParse(crypto.signed(envelope, PAYLOAD_TYPES.consent, owner)).data;

/** The window bounds the whole of what cannot be taken back: from the decision to the release of the keys. */
function coverage(hash: Hash, stated: ConsentStatement, move: Move, time: string): typeof CONSENT_GIVEN | ConsentFault {
  const { vm, image, source, target, modes, notBefore, notAfter, epoch } = stated;
  if (vm !== move.vm) return 'CONSENT_OTHER_VM';
  if (image !== imageOf(move.spec, hash)) return 'CONSENT_OTHER_IMAGE';
  if (source !== move.source || target !== move.target) return 'CONSENT_OTHER_DESTINATION';
  if (!modes.includes(move.mode)) return 'CONSENT_OTHER_MODE';
  if (time < notBefore || time > notAfter || move.deadline > notAfter) return 'CONSENT_OUTSIDE_WINDOW';
  return epoch === undefined || epoch === move.epoch ? CONSENT_GIVEN : 'CONSENT_USED';
}
