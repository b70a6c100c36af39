import {
  type Digest,
  type EventOf,
  type IntentRequest,
  intentRequest,
  isWeakerRekey,
  PAYLOAD_TYPES,
  type RequestRecord,
} from '@carnet/events';
import { accept, type Checked, openEnvelope, parseStrictJson, refuse, sha256Hex } from '@carnet/trust';
import type { Identify } from './agents.ts';

type Signed = Extract<RequestRecord, { readonly via: 'signature' }>;
type RequestCode = 'REQUEST_REFUSED' | 'REQUEST_DIFFERS';

/**
 * The scheduler's own signature inside an intent: a principal of the source, by its certificate at that time, asked for exactly
 * this move.
 *
 * @param issuers intermediates of the source, in base64 DER, from its own key announcement: requests carry the leaf only
 */
export function checkRequest(
  identify: Identify,
  event: EventOf<'MigrationIntended'>,
  record: Signed,
  issuers: readonly string[],
): Checked<null, RequestCode> {
  const identity = identify([record.certificate, ...issuers], event.publisher, event.time);
  if (!identity.ok) return refuse('REQUEST_REFUSED', `${identity.code}: ${identity.text}`, identity);
  const { spiffeId, leafDigest, verifier } = identity.value;
  if (spiffeId !== record.principal)
    return refuse('REQUEST_REFUSED', 'expected the principal that the certificate names', {
      expected: spiffeId,
      got: record.principal,
    });
  const opened = openEnvelope(Buffer.from(JSON.stringify(record.envelope)), PAYLOAD_TYPES.request, (keyid) =>
    keyid === leafDigest ? verifier : undefined,
  );
  if (!opened.ok) return refuse('REQUEST_REFUSED', `${opened.code}: ${opened.text}`, opened);
  const json = parseStrictJson(opened.value.payload);
  const asked = json.ok ? intentRequest.safeParse(json.value) : undefined;
  if (asked?.success !== true) return refuse('REQUEST_REFUSED', 'the signed request does not match its schema');
  return compare(event, asked.data);
}

/** SHA-256 of what was asked, in the schema's order of fields; `undefined` when a signature holds no request. */
export function contentDigestOf(record: RequestRecord): Digest | undefined {
  if (record.via !== 'signature') return record.digest;
  const json = parseStrictJson(Buffer.from(record.envelope.payload, 'base64'));
  const asked = json.ok ? intentRequest.safeParse(json.value).data : undefined;
  return asked === undefined ? undefined : sha256Hex(Buffer.from(JSON.stringify(asked)));
}

function compare(event: EventOf<'MigrationIntended'>, asked: IntentRequest): Checked<null, RequestCode> {
  const pairs: readonly (readonly [string, string, string])[] = [
    ['migration', asked.migration, event.migration],
    ['vm', asked.vm, event.data.vm],
    ['target', asked.target, event.data.target],
    ['mode', asked.mode, event.data.mode],
  ];
  const differing = pairs.find(([, expected, got]) => expected !== got);
  if (differing !== undefined)
    return refuse('REQUEST_DIFFERS', `the intent has another ${differing[0]} than was asked for`, {
      expected: differing[1],
      got: differing[2],
    });
  const demanded = event.data.rekey ?? 'none';
  if (isWeakerRekey(demanded, asked.rekey ?? 'none'))
    return refuse('REQUEST_DIFFERS', 'the intent demands less re-keying on arrival than was asked for', {
      expected: asked.rekey ?? 'none',
      got: demanded,
    });
  if (asked.notAfter === undefined || event.data.offerBy <= asked.notAfter) return accept(null);
  return refuse('REQUEST_DIFFERS', 'the intent lasts longer than was asked for', {
    expected: asked.notAfter,
    got: event.data.offerBy,
  });
}
