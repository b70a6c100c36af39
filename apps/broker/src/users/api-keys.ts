import { timingSafeEqual } from 'node:crypto';
import { API_KEY_PRINCIPALS, type Timestamp, timestamp } from '@carnet/events';
import { type Tenant, tenant } from '@carnet/keys';
import { type Role, role } from '@carnet/policy';
import { type Change, type Store, withLease } from '@carnet/store';
import { sha256Hex } from '@carnet/trust';
import type { Kysely } from 'kysely';
import { z } from 'zod';
import type { ServiceRefusal, ServiceResult } from '../service/result.ts';
import type { Caller } from './caller.ts';
import { API_KEY_DAYS_MAX, API_KEY_ID_BYTES, API_KEY_SECRET_BYTES, API_KEY_USE_NOTED_MS, API_KEYS_MAX } from './limits.ts';

type ApiKeyTables = {
  readonly users_api_keys: {
    readonly id: string;
    readonly name: string;
    /** SHA-256 of the whole key: enough, since the key is random. */
    readonly hash: string;
    readonly roles: string;
    readonly project: string | null;
    readonly created_at: string;
    readonly created_by: string;
    readonly expires_at: string;
    readonly revoked_at: string | null;
    readonly revoked_by: string | null;
    readonly last_used_at: string | null;
  };
};
type Row = ApiKeyTables['users_api_keys'];

export const usersChanges: readonly Change[] = [
  {
    name: 'users-001-api-keys',
    up: async (db) => {
      await db.schema
        .createTable('users_api_keys')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('name', 'text', (column) => column.notNull())
        .addColumn('hash', 'text', (column) => column.notNull())
        .addColumn('roles', 'text', (column) => column.notNull())
        .addColumn('created_at', 'text', (column) => column.notNull())
        .addColumn('created_by', 'text', (column) => column.notNull())
        .addColumn('expires_at', 'text', (column) => column.notNull())
        .addColumn('revoked_at', 'text')
        .addColumn('revoked_by', 'text')
        .addColumn('last_used_at', 'text')
        .execute();
    },
  },
  {
    name: 'users-002-project-of-an-api-key',
    up: async (db) => {
      await db.schema.alterTable('users_api_keys').addColumn('project', 'text').execute();
    },
  },
];

/** What an administrator asks for. `roles` narrows: a key never has more than the policy set grants to its principal. */
export const apiKeyRequest = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/),
    /** Administrators come with a certificate: a leaked key must not make further keys. */
    roles: z
      .array(role.exclude(['administrator']))
      .min(1)
      .max(role.options.length)
      .readonly(),
    days: z.int().min(1).max(API_KEY_DAYS_MAX),
    /** The only project whose keys its holder may see; absent: the whole CSP. */
    project: tenant.optional(),
  })
  .readonly();
export type ApiKeyRequest = z.infer<typeof apiKeyRequest>;

/** A key for people: everything but the key. */
export interface ApiKeyRow {
  readonly id: string;
  readonly name: string;
  readonly principal: string;
  readonly roles: readonly Role[];
  readonly project?: Tenant;
  readonly state: 'active' | 'expired' | 'revoked';
  readonly createdAt: string;
  readonly createdBy: string;
  readonly expiresAt: string;
  readonly revokedAt?: string;
  readonly revokedBy?: string;
  readonly lastUsedAt?: string;
}
/** Said once: the broker keeps only its hash. */
export type NewApiKey = ApiKeyRow & { readonly apiKey: string };

export interface ApiKeys {
  readonly list: () => Promise<readonly ApiKeyRow[]>;
  readonly create: (request: ApiKeyRequest, principal: string) => Promise<ServiceResult<NewApiKey>>;
  /** Revoking twice is revoking once. */
  readonly revoke: (id: string, principal: string) => Promise<ServiceResult<ApiKeyRow>>;
  readonly authenticate: (presented: string) => Promise<Caller | ServiceRefusal>;
  /** Neither revoked nor over. */
  readonly isActive: (id: string) => Promise<boolean>;
}

const FORM = /^carnet_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/;
export const isApiKey = (presented: string): boolean => FORM.test(presented);
const principalOf = (name: string): string => `${API_KEY_PRINCIPALS}${name}`;
const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });

export function openApiKeys(store: Store, nowMs: () => number, random: (bytes: number) => Uint8Array): ApiKeys {
  const db: Kysely<ApiKeyTables> = store.db.$extendTables<ApiKeyTables>();
  const at = (ms: number): Timestamp => timestamp.parse(new Date(ms).toISOString());
  const find = (id: string): Promise<Row | undefined> =>
    db.selectFrom('users_api_keys').selectAll().where('id', '=', id).executeTakeFirst();
  const rowOf = (row: Row): ApiKeyRow => keyRow(row, at(nowMs()));

  return {
    list: async () =>
      (await db.selectFrom('users_api_keys').selectAll().orderBy('created_at', 'desc').limit(API_KEYS_MAX).execute()).map(rowOf),
    // Alone with the name, over all replicas: two of one moment would both find it free.
    create: async (request, principal) => {
      const created = await withLease(store, `carnet api key ${request.name}`, () => create(request, principal));
      return created.held ? created.value : refuse('API_KEY_EXISTS', `a key ${request.name} is being made`);
    },
    revoke: async (id, principal) => {
      await db
        .updateTable('users_api_keys')
        .set({ revoked_at: at(nowMs()), revoked_by: principal })
        .where('id', '=', id)
        .where('revoked_at', 'is', null)
        .execute();
      const row = await find(id);
      return row === undefined ? refuse('API_KEY_UNKNOWN', `no API key ${id} here`) : { ok: true, value: rowOf(row) };
    },
    authenticate: async (presented) => {
      const row = await find(FORM.exec(presented)?.[1] ?? '');
      const hash = Buffer.from(sha256Hex(Buffer.from(presented)));
      if (row === undefined || !timingSafeEqual(Buffer.from(row.hash.padEnd(hash.length).slice(0, hash.length)), hash))
        return refuse('TOKEN_REFUSED', 'the API key is unknown');
      const { state, principal, roles, project } = rowOf(row);
      if (state !== 'active') return refuse('TOKEN_EXPIRED', `the API key ${row.id} is ${state}`);
      await noteUse(row);
      const credential = { kind: 'api-key', id: row.id } as const;
      return { principal, via: 'token', credential, onlyRoles: roles, ...(project === undefined ? {} : { project }) };
    },
    isActive: async (id) => {
      const row = await find(id);
      return row !== undefined && rowOf(row).state === 'active';
    },
  };

  async function create({ name, roles, days, project }: ApiKeyRequest, principal: string): Promise<ServiceResult<NewApiKey>> {
    const taken = await db.selectFrom('users_api_keys').selectAll().where('name', '=', name).execute();
    // One name at a time: an audit record that says `api-key/nightly` must mean one key. Names of ended keys are free again.
    if (taken.some((row) => rowOf(row).state === 'active')) return refuse('API_KEY_EXISTS', `a key ${name} is active`);
    const id = Buffer.from(random(API_KEY_ID_BYTES)).toString('hex');
    const apiKey = `carnet_${id}_${Buffer.from(random(API_KEY_SECRET_BYTES)).toString('base64url')}`;
    const createdMs = nowMs();
    const row: Row = {
      id,
      name,
      hash: sha256Hex(Buffer.from(apiKey)),
      roles: [...new Set(roles)].join(' '),
      project: project ?? null,
      created_at: at(createdMs),
      created_by: principal,
      expires_at: at(createdMs + days * 86_400_000),
      revoked_at: null,
      revoked_by: null,
      last_used_at: null,
    };
    await db.insertInto('users_api_keys').values(row).execute();
    return { ok: true, value: { ...rowOf(row), apiKey } };
  }

  async function noteUse({ id, last_used_at: last }: Row): Promise<void> {
    if (last !== null && nowMs() - Date.parse(last) < API_KEY_USE_NOTED_MS) return;
    await db
      .updateTable('users_api_keys')
      .set({ last_used_at: at(nowMs()) })
      .where('id', '=', id)
      .execute();
  }
}

function keyRow(row: Row, now: Timestamp): ApiKeyRow {
  return {
    id: row.id,
    name: row.name,
    principal: principalOf(row.name),
    roles: z.array(role).parse(row.roles.split(' ')),
    ...(row.project === null ? {} : { project: tenant.parse(row.project) }),
    // A date that the database lost or bent counts as passed.
    state: row.revoked_at !== null ? 'revoked' : now < timestamp.parse(row.expires_at) ? 'active' : 'expired',
    createdAt: row.created_at,
    createdBy: row.created_by,
    expiresAt: row.expires_at,
    ...(row.revoked_at === null ? {} : { revokedAt: row.revoked_at }),
    ...(row.revoked_by === null ? {} : { revokedBy: row.revoked_by }),
    ...(row.last_used_at === null ? {} : { lastUsedAt: row.last_used_at }),
  };
}
