import { createHash } from 'node:crypto';
import { digest, type RequestRecord } from '@carnet/events';
import type { z } from 'zod';
import type { BrokerService, ServiceResult } from '../service/service.ts';
import type { Caller } from './route.ts';
import { INTENT_TYPE, type intentEvent } from './schemas.ts';

/**
 * Turns what was posted into the request that goes into the ledger. A plain intent is vouched for by how its caller came
 * in; a signed one carries its own proof, which the service checks, and the caller is only its messenger.
 */
export async function intendFromCloudEvent(service: BrokerService, caller: Caller, asked: z.infer<typeof intentEvent>): Promise<ServiceResult<unknown>> {
  if (asked.type === INTENT_TYPE) {
    const record: RequestRecord = { via: caller.via, principal: caller.principal, digest: digest.parse(createHash('sha256').update(JSON.stringify(asked.data)).digest('hex')) };
    return service.intend(asked.data, record);
  }
  return service.intendSigned(asked.data.envelope, asked.data.certificate);
}
