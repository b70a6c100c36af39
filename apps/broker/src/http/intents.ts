import type { RequestRecord } from '@carnet/events';
import { sha256Hex } from '@carnet/trust';
import type { z } from 'zod';
import type { BrokerService, IntentAccepted, ServiceResult } from '../service/service.ts';
import type { Caller } from './route.ts';
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
  // Over the parsed request, whose fields stand in the schema's order: one content, one digest, however it was spelt.
  const record: RequestRecord = { ...caller, digest: sha256Hex(Buffer.from(JSON.stringify(asked.data))) };
  return service.intend(asked.data, record);
}
