import type { EventData, HpkeKem, Reason } from '@carnet/events';
import { HSM, HYBRID } from '@carnet/keys';
import { z } from 'zod';
import { reasonOf } from '../reason.ts';

/** What a migration's keys are sealed to: a hybrid key against quantum computers, too, or one that stays in the target's token. */
export const profile = z.enum(['hybrid', 'hsm']);
export type Profile = z.infer<typeof profile>;

export const KEM_OF: Readonly<Record<Profile, HpkeKem>> = { hybrid: HYBRID, hsm: HSM };

/** An offer in a profile that this CSP does not let its keys go by. There is no bargaining: the offer is all that the peer has. */
export function profileFault(
  { kem }: Pick<EventData<'MigrationOffered'>, 'kem'>,
  leaving: readonly HpkeKem[],
): Reason | undefined {
  return leaving.includes(kem)
    ? undefined
    : reasonOf('PROFILE_NOT_ACCEPTED', `the peer offers KEM ${kem}; keys leave here by ${leaving.join(' or ')} only`);
}
