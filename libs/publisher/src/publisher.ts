import { type IntentRequest, intentRequest, type MigrationMode, PAYLOAD_TYPES, uuidv7 } from '@carnet/events';
import { type Signer, signEnvelope } from '@carnet/trust';
import type { Answer } from './answer.ts';
import type { BrokerClient } from './client.ts';

/** What a scheduler asks for. Give `id` (UUIDv7) to make repeats of one wish the same wish across restarts of the scheduler. */
export interface Wish {
  readonly id?: string;
  /** `<home domain>/<uuid>` */
  readonly vm: string;
  /** Trust domain of the CSP that shall run it. */
  readonly target: string;
  readonly mode: MigrationMode;
  /** RFC 3339, UTC, milliseconds: no offer counts after it. */
  readonly notAfter?: string;
  readonly reason?: string;
}

export interface Accepted {
  /** The migration's id: ask for its state with it. */
  readonly id: string;
  /** SHA-256 of the `MigrationIntended` event's envelope. */
  readonly digest: string;
  readonly repeated: boolean;
}

export interface PublisherOptions {
  readonly broker: Pick<BrokerClient, 'post'>;
  /** With it each wish is signed by the scheduler itself, and peer and auditor can check that; without, the broker vouches for who asked. */
  readonly identity?: { readonly signer: Signer; readonly certificate: string };
  /** Clock, in Unix milliseconds. */
  readonly nowMs: () => number;
  /** This many random bytes: ids of wishes that have none. */
  readonly random: (n: number) => Uint8Array;
}

export interface Publisher {
  /** Safe to repeat with the same `id`. Refusals come back as values with stable codes. */
  readonly intend: (wish: Wish) => Promise<Answer<Accepted>>;
}

/** RFC 9562, section 5.7: what of a UUIDv7 is not its time. */
const UUID_RANDOM_BYTES = 10;
const INTENT_TYPE = 'dev.carnet.migration.intent.v1';
const SIGNED_INTENT_TYPE = 'dev.carnet.migration.signed-intent.v1';
const CONTENT_TYPE = 'application/cloudevents+json';

interface Taken {
  readonly migration: string;
  readonly digest: string;
  readonly repeated: boolean;
}

/** The publisher's side of `POST /v1/intents`. */
export function createPublisher(options: PublisherOptions): Publisher {
  return {
    intend: async (wish) => {
      const request = requestOf(wish, wish.id ?? uuidv7(options.nowMs(), options.random(UUID_RANDOM_BYTES)));
      if (!request.ok) return request;
      const answer = await options.broker.post<Taken>('/v1/intents', cloudEventOf(request.value, options), CONTENT_TYPE);
      if (!answer.ok) return answer;
      const { migration, digest, repeated } = answer.value;
      return { ok: true, value: { id: migration, digest, repeated } };
    },
  };
}

/** A wish as the protocol's request, or what is wrong with it, before anything is sent. */
function requestOf(wish: Wish, id: string): Answer<IntentRequest> {
  const parsed = intentRequest.safeParse({
    migration: id,
    vm: wish.vm,
    target: wish.target,
    mode: wish.mode,
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

function cloudEventOf(request: IntentRequest, { identity }: PublisherOptions): object {
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
