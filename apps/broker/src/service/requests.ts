import {
  approvalStatement,
  type DsseEnvelope,
  type IntentRequest,
  intentRequest,
  isSamePerson,
  type MigrationId,
  PAYLOAD_TYPES,
  type RequestRecord,
  requestRecord,
} from '@carnet/events';
import type { PeerIdentity } from '@carnet/pki';
import type { Change, Store } from '@carnet/store';
import { openEnvelope, parseStrictJson } from '@carnet/trust';
import { type Generated, type Kysely, sql, type Transaction } from 'kysely';
import { type Credential, credential } from '../users/credential.ts';
import { contentDigest } from './request-content.ts';
import type { ServiceRefusal, ServiceResult } from './result.ts';

type RequestTable = {
  readonly migration: string;
  readonly request: string;
  readonly record: string;
  readonly approvals: string;
  /** Null: asked for by a broker that did not keep it; nobody approves that. */
  readonly shown: string | null;
  readonly asked_at: Generated<Date>;
};
type Tables = { readonly broker_requests: RequestTable };

/** A request that waits for a second person; no ledger knows of it. */
export interface WaitingRequest {
  readonly request: IntentRequest;
  readonly record: RequestRecord;
  /** What the asker came with. */
  readonly shown: Credential;
  readonly approvals: readonly RequestRecord[];
  readonly askedAt: string;
}

type Asking = Pick<WaitingRequest, 'request' | 'record' | 'shown'>;

export interface WaitingRequests {
  readonly all: () => Promise<readonly WaitingRequest[]>;
  readonly get: (migration: MigrationId) => Promise<WaitingRequest | undefined>;
  /**
   * False: another request has this migration's id, or too many wait. What waits is never replaced; its asker may only ask again, with
   * what is good for longer.
   */
  readonly add: (asking: Asking) => Promise<boolean>;
  /** One approval for each person, whoever else approves in the same moment. False: nothing of this id waits any more. */
  readonly approve: (migration: MigrationId, approval: RequestRecord) => Promise<boolean>;
  readonly remove: (migration: MigrationId) => Promise<void>;
}

/** Days that a request waits, and requests that wait at once: a second person looks within a week, and reads no thousand. */
const WAIT_DAYS = 7;
const WAITING_MAX = 1_000;

export const requestChanges: readonly Change[] = [
  {
    name: 'requests-001-waiting',
    up: async (db) => {
      await db.schema
        .createTable('broker_requests')
        .addColumn('migration', 'text', (column) => column.primaryKey())
        .addColumn('request', 'text', (column) => column.notNull())
        .addColumn('record', 'text', (column) => column.notNull())
        .addColumn('approvals', 'text', (column) => column.notNull())
        .addColumn('asked_at', 'timestamptz', (column) => column.notNull().defaultTo(sql`now()`))
        .execute();
    },
  },
  {
    name: 'requests-002-credential',
    up: async (db) => {
      await db.schema.alterTable('broker_requests').addColumn('shown', 'text').execute();
    },
  },
];

const old = sql<Date>`now() - make_interval(days => ${sql.lit(WAIT_DAYS)})`;

export function openWaitingRequests(store: Store): WaitingRequests {
  const db: Kysely<Tables> = store.db.$extendTables<Tables>();
  const waits = (of: Kysely<Tables> | Transaction<Tables>) =>
    of.selectFrom('broker_requests').selectAll().where('asked_at', '>=', old).where('shown', 'is not', null);
  const get: WaitingRequests['get'] = async (migration) => {
    const row = await waits(db).where('migration', '=', migration).executeTakeFirst();
    return row === undefined ? undefined : waiting(row);
  };
  return {
    get,
    all: async () => (await waits(db).orderBy('asked_at').limit(WAITING_MAX).execute()).map(waiting),
    add: async (asking) => {
      await db
        .deleteFrom('broker_requests')
        .where((where) => where.or([where('asked_at', '<', old), where('shown', 'is', null)]))
        .execute();
      const kept = await get(asking.request.migration);
      return kept === undefined ? insert(asking) : renew(kept, asking);
    },
    approve: (migration, approval) =>
      db.transaction().execute(async (tx) => {
        const row = await waits(tx).where('migration', '=', migration).forUpdate().executeTakeFirst();
        if (row === undefined) return false;
        const others = waiting(row).approvals.filter(({ principal }) => !isSamePerson(principal, approval.principal));
        const approvals = JSON.stringify([...others, approval]);
        await tx.updateTable('broker_requests').set({ approvals }).where('migration', '=', migration).execute();
        return true;
      }),
    remove: async (migration) => {
      await db.deleteFrom('broker_requests').where('migration', '=', migration).execute();
    },
  };

  async function insert({ request, record, shown }: Asking): Promise<boolean> {
    const { count } = await db
      .selectFrom('broker_requests')
      .select(({ fn }) => fn.countAll<string>().as('count'))
      .executeTakeFirstOrThrow();
    if (Number(count) >= WAITING_MAX) return false;
    const { migration } = request;
    const asked = { request: JSON.stringify(request), record: JSON.stringify(record), shown: JSON.stringify(shown) };
    await db
      .insertInto('broker_requests')
      .values({ migration, ...asked, approvals: '[]' })
      .onConflict((conflict) => conflict.column('migration').doNothing())
      .execute();
    const kept = await get(migration);
    return kept !== undefined && contentDigest(kept.request) === contentDigest(request);
  }

  async function renew(kept: WaitingRequest, { request, record, shown }: Asking): Promise<boolean> {
    if (contentDigest(kept.request) !== contentDigest(request)) return false;
    if (kept.record.principal !== record.principal) return true;
    await db
      .updateTable('broker_requests')
      .set({ record: JSON.stringify(record), shown: JSON.stringify(shown) })
      .where('migration', '=', request.migration)
      .execute();
    return true;
  }
}

/** What is read back is checked: the database is ours, its disk is not. */
const waiting = (
  row: Pick<RequestTable, 'request' | 'record' | 'approvals' | 'shown'> & { readonly asked_at: Date },
): WaitingRequest => ({
  request: intentRequest.parse(JSON.parse(row.request)),
  record: requestRecord.parse(JSON.parse(row.record)),
  shown: credential.parse(JSON.parse(row.shown ?? 'null')),
  approvals: requestRecord.array().parse(JSON.parse(row.approvals)),
  askedAt: row.asked_at.toISOString(),
});

/** An approval in its giver's own signature, over exactly this request. */
export function openSignedApproval(
  identify: (leaf: string) => PeerIdentity | undefined,
  request: IntentRequest,
  envelope: DsseEnvelope,
  certificate: string,
): ServiceResult<RequestRecord> {
  const refuse = (text: string): ServiceRefusal => ({ ok: false, code: 'SIGNATURE_REFUSED', text });
  const identity = identify(certificate);
  if (identity === undefined) return refuse('the certificate of the approval is not valid for this CSP');
  const opened = openEnvelope(Buffer.from(JSON.stringify(envelope)), PAYLOAD_TYPES.approval, (keyid) =>
    keyid === identity.leafDigest ? identity.verifier : undefined,
  );
  if (!opened.ok) return refuse(opened.text);
  const json = parseStrictJson(opened.value.payload);
  const stated = json.ok ? approvalStatement.safeParse(json.value).data : undefined;
  if (stated?.request !== contentDigest(request)) return refuse('the approval is of another request');
  return { ok: true, value: { via: 'signature', principal: identity.spiffeId, envelope, certificate } };
}
