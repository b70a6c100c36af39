import { consentStatement, type DsseEnvelope } from '@carnet/events';
import { parseStrictJson } from '@carnet/trust';

/**
 * When a consent ends, in Unix milliseconds, read before anybody believed it: an intent must not outlast it, and policy judges the rest.
 */
export function consentEndsMs(consent: DsseEnvelope | undefined): number {
  if (consent === undefined) return Number.POSITIVE_INFINITY;
  const json = parseStrictJson(Buffer.from(consent.payload, 'base64'));
  const stated = json.ok ? consentStatement.safeParse(json.value).data : undefined;
  return stated === undefined ? Number.POSITIVE_INFINITY : Date.parse(stated.notAfter);
}
