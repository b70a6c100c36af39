import { type KeyId, keyId, type TrustDomain } from '@carnet/events';
import { type KeyManager, type KeyRecord, recordLabels, secretName, type Tenant } from '@carnet/keys';
import type { z } from 'zod';
import type { ServiceResult } from '../service/result.ts';
import type { consumerPage, metadata, pageQuery, Secret, SecretsQuery, secretPage } from './schemas.ts';

/** Keys of one project, read as Barbican's secrets. */
export interface SecretReader {
  readonly list: (project: Tenant, query: SecretsQuery, shown: Shown) => Promise<z.infer<typeof secretPage>>;
  readonly show: (project: Tenant, id: string, shown: Shown) => Promise<ServiceResult<Secret>>;
  readonly metadata: (project: Tenant, id: string) => Promise<ServiceResult<z.infer<typeof metadata>>>;
  readonly consumers: (
    project: Tenant,
    id: string,
    query: z.infer<typeof pageQuery>,
    shown: Shown,
  ) => Promise<ServiceResult<z.infer<typeof consumerPage>>>;
}

/** `base`: the address by which the caller reached us. `consumers`: in microversion 1.1. */
export interface Shown {
  readonly base: string;
  readonly consumers: boolean;
}

type Keys = Pick<KeyManager, 'pageOfTenant' | 'consumersOf' | 'consumersSince'>;

export function openSecretReader(keys: Keys, domain: TrustDomain): SecretReader {
  /** Another project's key is as unknown as one that never was: who may not see it learns nothing of it. */
  const find = async (project: Tenant, id: string): Promise<ServiceResult<KeyRecord>> => {
    const known = keyId.safeParse(id.toLowerCase());
    const page = known.success ? await keys.pageOfTenant({ tenant: project, key: known.data, offset: 0, limit: 1 }) : undefined;
    const record = page?.keys[0];
    return record === undefined ? { ok: false, code: 'KEY_UNKNOWN', text: 'no such secret' } : { ok: true, value: record };
  };
  const shownAs = async (records: readonly KeyRecord[], { base, consumers }: Shown): Promise<readonly Secret[]> => {
    const users = consumers ? await keys.consumersOf(records.map(({ key }) => key)) : undefined;
    return records.map((record) => ({
      ...secretOf(record, domain, base),
      ...(users === undefined ? {} : { consumers: (users.get(record.key) ?? []).map(consumerOf) }),
    }));
  };
  return {
    list: async (project, { offset, limit, ...filter }, shown) => {
      const wanted = wantedBy(filter, domain);
      if (wanted === 'none') return { secrets: [], total: 0 };
      const page = await keys.pageOfTenant({ tenant: project, offset, limit, ...wanted });
      // A name says which holding, too: one that was before is not there any more.
      if (wanted.key !== undefined && page.keys.some((record) => secretName(domain, record) !== filter.name))
        return { secrets: [], total: 0 };
      return {
        secrets: await shownAs(page.keys, shown),
        total: page.total,
        ...navigation(`${shown.base}/v1/secrets`, { offset, limit, total: page.total, there: page.keys.length }),
      };
    },
    show: async (project, id, shown) => {
      const found = await find(project, id);
      if (!found.ok) return found;
      const [value] = await shownAs([found.value], shown);
      return value === undefined ? { ok: false, code: 'KEY_UNKNOWN', text: 'no such secret' } : { ok: true, value };
    },
    metadata: async (project, id) => {
      const found = await find(project, id);
      return found.ok ? { ok: true, value: { metadata: recordLabels(domain, found.value) } } : found;
    },
    consumers: async (project, id, { offset, limit }, { base }) => {
      const found = await find(project, id);
      if (!found.ok) return found;
      const all = await keys.consumersSince(found.value.key);
      const consumers = all.slice(offset, offset + limit).map(({ consumer, since }) => ({
        ...consumerOf(consumer),
        status: 'ACTIVE' as const,
        created: moment(since),
        updated: moment(since),
      }));
      const path = `${base}/v1/secrets/${found.value.key}/consumers`;
      const nav = navigation(path, { offset, limit, total: all.length, there: consumers.length });
      return { ok: true, value: { consumers, total: all.length, ...nav } };
    },
  };
}

/** Barbican's clients parse times without a zone: they are UTC. */
const moment = (at: string): string => at.replace(/Z$/, '');

function secretOf(record: KeyRecord, domain: TrustDomain, base: string): Secret {
  const status = statusOf(record.state);
  return {
    secret_ref: `${base}/v1/secrets/${record.key}`,
    name: secretName(domain, record),
    status,
    secret_type: 'symmetric',
    algorithm: 'aes',
    bit_length: 256,
    mode: null,
    expiration: null,
    creator_id: `spiffe://${domain}/broker`,
    created: moment(record.createdAt),
    updated: moment(record.changedAt),
    // What lies there, as Barbican says it. Nobody gets it at this door.
    ...(status === 'PENDING' ? {} : { content_types: { default: 'application/octet-stream' as const } }),
  };
}

/** Barbican knows three states. A key that opens nothing now is in none that a service could use; metadata has NIST's word. */
function statusOf(state: KeyRecord['state']): Secret['status'] {
  if (state === 'active') return 'ACTIVE';
  return state === 'pre-activation' ? 'PENDING' : 'ERROR';
}

/** `vm:csp-a.example/<uuid>` is a VM of that UUID. */
function consumerOf(consumer: string): {
  readonly service: string;
  readonly resource_type: string;
  readonly resource_id: string;
} {
  const [type = '', ...rest] = consumer.split(':');
  return { service: 'carnet', resource_type: type, resource_id: rest.join(':').split('/').at(-1) ?? '' };
}

type Filter = Omit<SecretsQuery, 'offset' | 'limit'>;

/** All keys are alike but for their names, so the other filters keep all or none. */
function wantedBy({ name, alg, mode, bits, secret_type }: Filter, domain: TrustDomain): { readonly key?: KeyId } | 'none' {
  const alike =
    mode === undefined &&
    (alg === undefined || alg === 'aes') &&
    (bits === undefined || bits === 0 || bits === 256) &&
    (secret_type === undefined || secret_type === 'symmetric');
  if (!alike) return 'none';
  if (name === undefined || name === '') return {};
  const key = keyId.safeParse(name.split(':')[2]);
  return key.success && name.startsWith(`carnet:${domain}:`) ? { key: key.data } : 'none';
}

interface Place {
  readonly offset: number;
  readonly limit: number;
  readonly total: number;
  readonly there: number;
}

/** An empty page leads nowhere, as in Barbican. */
const navigation = (path: string, { offset, limit, total, there }: Place) => ({
  ...(there > 0 && offset > 0 ? { previous: `${path}?limit=${limit}&offset=${Math.max(0, offset - limit)}` } : {}),
  ...(there > 0 && total > offset + limit ? { next: `${path}?limit=${limit}&offset=${offset + limit}` } : {}),
});
