import { z } from 'zod';
import { FOUND_SECRETS_MAX } from '../../limits.ts';
import { type SecretId, secretId } from '../../vault/hierarchy.ts';
import { refuse, type VaultResult } from '../../vault/refusal.ts';
import type { BarbicanAddress } from '../custody-spec.ts';
import { answerOf, doneOf, refusedBy } from './answers.ts';
import { exchange, type Incoming, type Outgoing } from './http.ts';

export type Labels = Readonly<Record<string, string>>;
export type Found = { readonly secret: SecretId; readonly filled: boolean; readonly creator?: string };
export type SecretConsumer = { readonly service: string; readonly resource_type: string; readonly resource_id: string };

/** Barbican's API, v1, as far as we use it. Every answer is a value or a refusal; nothing throws. */
export type BarbicanClient = ReturnType<typeof barbicanClient>;

const JSON_TYPE = 'application/json';
const BYTES_TYPE = 'application/octet-stream';

/** Ids only: the host in a reference is the server's word, and requests go where our configuration says. */
const reference = z.string().transform((text, context) => {
  const parsed = secretId.safeParse(text.split('/').at(-1));
  if (parsed.success) return parsed.data;
  context.addIssue('no id');
  return z.NEVER;
});
const created = z.object({ secret_ref: reference });
const listed = z.object({
  secret_ref: reference,
  name: z.string().nullable(),
  content_types: z.unknown().optional(),
  creator_id: z.string().nullable(),
});
const listing = z.object({ secrets: z.array(listed).max(FOUND_SECRETS_MAX) });
const metadata = z.object({ metadata: z.record(z.string(), z.unknown()) });
const consumers = z.object({
  consumers: z.array(z.object({ service: z.string(), resource_type: z.string(), resource_id: z.string() })),
});

export function barbicanClient(address: BarbicanAddress, token: Uint8Array | undefined) {
  const identity: Record<string, string> = {
    ...(token === undefined ? {} : { 'x-auth-token': Buffer.from(token).toString('latin1') }),
    ...(address.project === undefined ? {} : { 'x-project-id': address.project }),
  };
  const send = (
    method: Outgoing['method'],
    path: string,
    content?: unknown,
    headers: Labels = {},
  ): Promise<Incoming | undefined> => {
    const bytes = content instanceof Buffer ? content : undefined;
    const body = bytes ?? (content === undefined ? undefined : Buffer.from(JSON.stringify(content), 'utf8'));
    return exchange({
      method,
      url: `${address.url.replace(/\/+$/, '')}/v1${path}`,
      headers: {
        accept: JSON_TYPE,
        ...(body === undefined ? {} : { 'content-type': bytes === undefined ? JSON_TYPE : BYTES_TYPE }),
        // From this microversion on secrets have consumers.
        'openstack-api-version': 'key-manager 1.1',
        ...identity,
        ...headers,
      },
      ...(body === undefined ? {} : { body }),
      ...(address.ca === undefined ? {} : { ca: address.ca }),
    });
  };

  return {
    /** A secret without payload: its readers and metadata are set before anyone could read it. */
    create: async (name: string): Promise<VaultResult<SecretId>> => {
      const asked = { name, secret_type: 'symmetric', algorithm: 'aes', bit_length: 256 };
      const made = answerOf(await send('POST', '/secrets', asked), created);
      return made.ok ? { ok: true, value: made.value.secret_ref } : made;
    },
    /** Oldest first. Names may repeat; more than a page of one name is none of our doing. */
    find: async (name: string): Promise<VaultResult<readonly Found[]>> => {
      const query = new URLSearchParams({ name, sort: 'created:asc', limit: String(FOUND_SECRETS_MAX) });
      const page = answerOf(await send('GET', `/secrets?${query}`), listing);
      if (!page.ok) return page;
      const same = page.value.secrets.filter((secret) => secret.name === name);
      return {
        ok: true,
        value: same.map(({ secret_ref, content_types, creator_id }) => ({
          secret: secret_ref,
          filled: Boolean(content_types),
          ...(creator_id === null ? {} : { creator: creator_id }),
        })),
      };
    },
    /** `undefined`: it has none. */
    labels: async (secret: SecretId): Promise<VaultResult<Readonly<Record<string, unknown>>>> => {
      const there = answerOf(await send('GET', `/secrets/${secret}/metadata`), metadata);
      return there.ok ? { ok: true, value: there.value.metadata } : there;
    },
    /** Replaces all of it. Keys are lower case: the server would fold them. */
    label: async (secret: SecretId, labels: Labels): Promise<VaultResult<null>> =>
      doneOf(await send('PUT', `/secrets/${secret}/metadata`, { metadata: labels })),
    /** Nobody of the project but its creator and these users reads it. */
    restrict: async (secret: SecretId, readers: readonly string[]): Promise<VaultResult<null>> =>
      doneOf(await send('PUT', `/secrets/${secret}/acl`, { read: { users: readers, 'project-access': false } })),
    /** `BARBICAN_CONFLICT`: it has a payload already, which cannot be changed. */
    fill: async (secret: SecretId, payload: Buffer): Promise<VaultResult<null>> =>
      doneOf(await send('PUT', `/secrets/${secret}`, payload)),
    /** The caller zeroes it. The server never compared its length with anything. */
    payload: async (secret: SecretId): Promise<VaultResult<Buffer>> => {
      const got = await send('GET', `/secrets/${secret}/payload`, undefined, { accept: BYTES_TYPE });
      if (got?.status !== 200) return refusedBy(got);
      return got.contentType.startsWith(BYTES_TYPE) ? { ok: true, value: got.body } : refuse('BARBICAN_ANSWER_INVALID');
    },
    consumers: async (secret: SecretId): Promise<VaultResult<readonly SecretConsumer[]>> => {
      const there = answerOf(await send('GET', `/secrets/${secret}/consumers?limit=100`), consumers);
      return there.ok ? { ok: true, value: there.value.consumers } : there;
    },
    addConsumer: async (secret: SecretId, consumer: SecretConsumer): Promise<VaultResult<null>> =>
      doneOf(await send('POST', `/secrets/${secret}/consumers`, consumer)),
    removeConsumer: async (secret: SecretId, consumer: SecretConsumer): Promise<VaultResult<null>> =>
      doneOf(await send('DELETE', `/secrets/${secret}/consumers`, consumer)),
    /** The server asks no consumer. Gone already is as good. */
    destroy: async (secret: SecretId): Promise<VaultResult<null>> => {
      const done = doneOf(await send('DELETE', `/secrets/${secret}`));
      return !done.ok && done.code === 'BARBICAN_SECRET_MISSING' ? { ok: true, value: null } : done;
    },
  };
}
