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
import { consentEndsMs } from './consent-window.ts';
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
  /** Who asked. Null: kept by a broker that did not count by it. */
  readonly principal: string | null;
  /** When the request's own time ends, if it says so. */
  readonly ends_at: Date | null;
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
   * Why it does not wait: another request has this migration's id, or too many wait. What waits is never replaced; its asker may only ask
   * again, with what is good for longer.
   */
  readonly add: (asking: Asking) => Promise<ServiceRefusal | undefined>;
  /** One approval for each person, whoever else approves in the same moment. False: nothing of this id waits any more. */
  readonly approve: (migration: MigrationId, approval: RequestRecord) => Promise<boolean>;
  readonly remove: (migration: MigrationId) => Promise<void>;
}

/** Days that a request waits, and requests that wait at once: a second person looks within a week, and reads no thousand. */
const WAIT_DAYS = 7;
export const WAITING_MAX = 1_000;
/** Of one principal. Threat: one scheduler's requests without end, and nobody else's move gets its second person for a week. */
export const WAITING_OF_ONE_MAX = 100;

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
  {
    name: 'requests-003-principal',
    up: async (db) => {
      await db.schema.alterTable('broker_requests').addColumn('principal', 'text').addColumn('ends_at', 'timestamptz').execute();
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
        .where((where) =>
          where.or([where('asked_at', '<', old), where('ends_at', '<', sql<Date>`now()`), where('shown', 'is', null)]),
        )
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

  async function whyFull(principal: string): Promise<ServiceRefusal | undefined> {
    const { all, own } = await db
      .selectFrom('broker_requests')
      .select(({ fn }) => [
        fn.countAll<string>().as('all'),
        fn.countAll<string>().filterWhere('principal', '=', principal).as('own'),
      ])
      .executeTakeFirstOrThrow();
    if (Number(own) >= WAITING_OF_ONE_MAX) return refuse('REQUESTS_EXCEEDED', `${own} requests of ${principal} wait already`);
    return Number(all) >= WAITING_MAX ? refuse('REQUESTS_EXCEEDED', `${all} requests wait already`) : undefined;
  }

  async function insert({ request, record, shown }: Asking): Promise<ServiceRefusal | undefined> {
    const { principal } = record;
    const full = await whyFull(principal);
    if (full !== undefined) return full;
    const { migration } = request;
    const asked = { request: JSON.stringify(request), record: JSON.stringify(record), shown: JSON.stringify(shown) };
    await db
      .insertInto('broker_requests')
      .values({ migration, ...asked, approvals: '[]', principal, ends_at: endOf(request) })
      .onConflict((conflict) => conflict.column('migration').doNothing())
      .execute();
    const kept = await get(migration);
    return kept === undefined ? idTaken(request) : otherContent(kept, request);
  }

  async function renew(kept: WaitingRequest, { request, record, shown }: Asking): Promise<ServiceRefusal | undefined> {
    const other = otherContent(kept, request);
    if (other !== undefined || kept.record.principal !== record.principal) return other;
    await db
      .updateTable('broker_requests')
      .set({ record: JSON.stringify(record), shown: JSON.stringify(shown) })
      .where('migration', '=', request.migration)
      .execute();
    return undefined;
  }
}

const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });
const idTaken = ({ migration }: IntentRequest): ServiceRefusal =>
  refuse('MIGRATION_ID_TAKEN', `another request that waits has the id ${migration}`);

/** Why what is asked is not what waits under its id. */
export const otherContent = (kept: WaitingRequest, request: IntentRequest): ServiceRefusal | undefined =>
  contentDigest(kept.request) === contentDigest(request) ? undefined : idTaken(request);

/** From then on nobody can take it: its own time, or that of its owner's consent, is over. */
function endOf({ notAfter, consent }: IntentRequest): Date | null {
  const endMs = Math.min(notAfter === undefined ? Number.POSITIVE_INFINITY : Date.parse(notAfter), consentEndsMs(consent));
  return Number.isFinite(endMs) ? new Date(endMs) : null;
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
  const refuseSignature = (text: string): ServiceRefusal => refuse('SIGNATURE_REFUSED', text);
  const identity = identify(certificate);
  if (identity === undefined) return refuseSignature('the certificate of the approval is not valid for this CSP');
  const opened = openEnvelope(Buffer.from(JSON.stringify(envelope)), PAYLOAD_TYPES.approval, (keyid) =>
    keyid === identity.leafDigest ? identity.verifier : undefined,
  );
  if (!opened.ok) return refuseSignature(opened.text);
  const json = parseStrictJson(opened.value.payload);
  const stated = json.ok ? approvalStatement.safeParse(json.value).data : undefined;
  if (stated?.request !== contentDigest(request)) return refuseSignature('the approval is of another request');
  return { ok: true, value: { via: 'signature', principal: identity.spiffeId, envelope, certificate } };
}
