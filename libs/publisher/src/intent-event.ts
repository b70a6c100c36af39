import { type IntentRequest, intentRequest, PAYLOAD_TYPES, uuidv7 } from '@carnet/events';
import { signEnvelope } from '@carnet/trust';
import type { Answer } from './answer.ts';
import type { PublisherOptions, Wish } from './publisher.ts';

/** RFC 9562, section 5.7: what of a UUIDv7 is not its time. */
const UUID_RANDOM_BYTES = 10;
const INTENT_TYPE = 'dev.carnet.migration.intent.v1';
const SIGNED_INTENT_TYPE = 'dev.carnet.migration.signed-intent.v1';

export const newWishId = ({ nowMs, random }: Pick<PublisherOptions, 'nowMs' | 'random'>): string =>
  uuidv7(nowMs(), random(UUID_RANDOM_BYTES));

/** A wish as the protocol's request, or what is wrong with it, before anything is sent. */
export function requestOf(wish: Wish, id: string): Answer<IntentRequest> {
  const parsed = intentRequest.safeParse({
    migration: id,
    vm: wish.vm,
    target: wish.target,
    mode: wish.mode,
    ...(wish.rekey === undefined ? {} : { rekey: wish.rekey }),
    ...(wish.consent === undefined ? {} : { consent: wish.consent }),
    ...(wish.notAfter === undefined ? {} : { notAfter: wish.notAfter }),
    ...(wish.reason === undefined ? {} : { reason: wish.reason }),
  });
  if (parsed.success) return { ok: true, value: parsed.data };
  return {
    ok: false,
    code: 'PARAMETER_INVALID',
    text: parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '),
  };
}

/** CloudEvents 1.0, structured mode. Signed: the envelope of the scheduler stands inside, exactly as it was signed. */
export function cloudEventOf(request: IntentRequest, { identity }: Pick<PublisherOptions, 'identity'>): object {
  const common = {
    specversion: '1.0',
    id: request.migration,
    source: identity?.signer.keyid ?? 'carnet-publisher',
    datacontenttype: 'application/json',
  };
  if (identity === undefined) return { ...common, type: INTENT_TYPE, data: request };
  const envelope = signEnvelope(PAYLOAD_TYPES.request, Buffer.from(JSON.stringify(request)), identity.signer);
  return {
    ...common,
    type: SIGNED_INTENT_TYPE,
    data: { envelope: JSON.parse(Buffer.from(envelope).toString('utf8')), certificate: identity.certificate },
  };
}
