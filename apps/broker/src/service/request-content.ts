import { type Digest, type IntentRequest, intentRequest, type RequestRecord } from '@carnet/events';
import { parseStrictJson, sha256Hex } from '@carnet/trust';

/**
 * SHA-256 of what was asked. Zod gives the fields in the schema's order, so one content has one digest however it was spelt
 * and through whatever door it came.
 */
export const contentDigest = (request: IntentRequest): Digest =>
  sha256Hex(Buffer.from(JSON.stringify(intentRequest.parse(request))));

/** The same digest from what a ledger keeps of a request; `undefined` when its signature holds no request. */
export function contentDigestOf(record: RequestRecord): Digest | undefined {
  if (record.via !== 'signature') return record.digest;
  const json = parseStrictJson(Buffer.from(record.envelope.payload, 'base64'));
  const request = json.ok ? intentRequest.safeParse(json.value) : undefined;
  return request?.data === undefined ? undefined : contentDigest(request.data);
}
