import type { RequestRecord } from '@carnet/events';
import type { z } from 'zod';
import { contentDigest } from '../service/request-content.ts';
import type { IntentAccepted, ServiceResult } from '../service/result.ts';
import type { BrokerService } from '../service/service.ts';
import type { Caller } from '../users/caller.ts';
import { INTENT_TYPE, type intentEvent } from './schemas.ts';

/**
 * Turns what was posted into the request that goes into the ledger. A plain intent is vouched for by how its caller came
 * in; a signed one carries its own proof, which the service checks, and the caller is only its messenger.
 */
export async function intendFromCloudEvent(
  service: BrokerService,
  caller: Caller,
  asked: z.output<typeof intentEvent>,
): Promise<ServiceResult<IntentAccepted>> {
  if (asked.type !== INTENT_TYPE) return service.intendSigned(asked.data.envelope, asked.data.certificate);
  const record: RequestRecord = { ...vouchedFor(caller), digest: contentDigest(asked.data) };
  return service.intend(asked.data, record, caller.credential);
}

type Vouched =
  | { readonly via: 'mtls'; readonly principal: string }
  | { readonly via: 'token'; readonly principal: string; readonly roles?: readonly string[] };

/** A caller as a ledger names it: what its credential is good for goes with it, since policies decide by that. */
export const vouchedFor = ({ via, principal, onlyRoles }: Caller): Vouched =>
  via === 'mtls' ? { via, principal } : { via, principal, ...(onlyRoles === undefined ? {} : { roles: onlyRoles }) };
