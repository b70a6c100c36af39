import { digest, timestamp, trustDomain } from '@carnet/events';
import type { Change, Store } from '@carnet/store';
import type { Kysely, Transaction } from 'kysely';
import { z } from 'zod';
import { network } from '../peers/data-paths.ts';
import { card, nonce } from './card.ts';
import { doorUrl, invitationId } from './invitation.ts';

type InvitationTable = {
  readonly id: string;
  readonly domain: string;
  /** Verifies the secret, and is not it. */
  readonly verifier: string;
  readonly data_paths: string;
  readonly created_by: string;
  readonly created_at: string;
  readonly expires_at: string;
  /** `open`, `used`, `spent`, `revoked`; that it has expired is for the clock to say. */
  readonly state: string;
  readonly wrong_proofs: number;
  /** The hello that is to be finished. */
  readonly hello: string | null;
};
type PeeringTable = {
  readonly domain: string;
  readonly transcript: string;
  readonly card: string;
  /** Where the peer answers; null: it asks us. */
  readonly url: string | null;
  readonly data_paths: string;
  readonly started_by: string;
  readonly started_at: string;
  readonly confirmed_by: string | null;
  readonly confirmed_at: string | null;
  readonly confirmed_there_at: string | null;
};
type Tables = { readonly peering_invitations: InvitationTable; readonly peering_peers: PeeringTable };

export const peeringChanges: readonly Change[] = [
  {
    name: 'peering-001-invitations',
    up: async (db) => {
      await db.schema
        .createTable('peering_invitations')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('domain', 'text', (column) => column.notNull())
        .addColumn('verifier', 'text', (column) => column.notNull())
        .addColumn('data_paths', 'text', (column) => column.notNull())
        .addColumn('created_by', 'text', (column) => column.notNull())
        .addColumn('created_at', 'text', (column) => column.notNull())
        .addColumn('expires_at', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('wrong_proofs', 'integer', (column) => column.notNull())
        .addColumn('hello', 'text')
        .execute();
      await db.schema
        .createTable('peering_peers')
        .addColumn('domain', 'text', (column) => column.primaryKey())
        .addColumn('transcript', 'text', (column) => column.notNull())
        .addColumn('card', 'text', (column) => column.notNull())
        .addColumn('url', 'text')
        .addColumn('data_paths', 'text', (column) => column.notNull())
        .addColumn('started_by', 'text', (column) => column.notNull())
        .addColumn('started_at', 'text', (column) => column.notNull())
        .addColumn('confirmed_by', 'text')
        .addColumn('confirmed_at', 'text')
        .addColumn('confirmed_there_at', 'text')
        .execute();
    },
  },
];

export const networks = z.array(network).max(64).readonly();
const hello = z.strictObject({ inviterNonce: nonce, joinerNonce: nonce, card });
const storedInvitation = z.strictObject({
  id: invitationId,
  domain: trustDomain,
  verifier: z.strictObject({ storedKey: z.string(), serverKey: z.string() }),
  dataPaths: networks,
  createdBy: z.string(),
  createdAt: timestamp,
  expiresAt: timestamp,
  state: z.enum(['open', 'used', 'spent', 'revoked']),
  wrongProofs: z.int(),
  hello: hello.optional(),
});
export type StoredInvitation = z.infer<typeof storedInvitation>;

const storedPeering = z.strictObject({
  domain: trustDomain,
  transcript: digest,
  card,
  url: doorUrl.optional(),
  dataPaths: networks,
  startedBy: z.string(),
  startedAt: timestamp,
  confirmedBy: z.string().optional(),
  confirmedAt: timestamp.optional(),
  confirmedThereAt: timestamp.optional(),
});
/** A peer that came by invitation. Trusted once people at both sides confirmed; before that it is a name and nothing more. */
export type Peering = z.infer<typeof storedPeering>;
export const isTrusted = ({ confirmedAt, confirmedThereAt }: Peering): boolean =>
  confirmedAt !== undefined && confirmedThereAt !== undefined;

export interface PeeringTx {
  /** Locked until the transaction ends. */
  readonly invitation: (id: string) => Promise<StoredInvitation | undefined>;
  readonly putInvitation: (invitation: StoredInvitation) => Promise<void>;
  readonly invitations: () => Promise<readonly StoredInvitation[]>;
  readonly forgetInvitations: (endedBefore: string) => Promise<void>;
  readonly peering: (domain: string) => Promise<Peering | undefined>;
  readonly peerings: () => Promise<readonly Peering[]>;
  /** False: there is one for this domain. What it pins is never replaced. */
  readonly addPeering: (peering: Peering) => Promise<boolean>;
  readonly confirm: (peering: Peering, where: 'here' | 'there', at: string, by?: string) => Promise<void>;
  readonly keepLists: (peering: Peering, crls: readonly string[]) => Promise<void>;
  readonly removePeering: (peering: Peering) => Promise<void>;
}
export interface PeeringStore extends PeeringTx {
  readonly alone: <T>(work: (tx: PeeringTx) => Promise<T>) => Promise<T>;
}

export function openPeeringStore(store: Store): PeeringStore {
  const db: Kysely<Tables> = store.db.$extendTables<Tables>();
  return { ...rowsIn(db), alone: (work) => db.transaction().execute((tx) => work(rowsIn(tx, 'locking'))) };
}

function rowsIn(db: Kysely<Tables> | Transaction<Tables>, mode?: 'locking'): PeeringTx {
  const peerings = async () => (await db.selectFrom('peering_peers').selectAll().orderBy('domain').execute()).map(peeringOf);
  return {
    invitation: async (id) => {
      const query = db.selectFrom('peering_invitations').selectAll().where('id', '=', id);
      const row = await (mode === 'locking' ? query.forUpdate() : query).executeTakeFirst();
      return row === undefined ? undefined : invitationOf(row);
    },
    putInvitation: async (invitation) => {
      const row = rowOf(invitation);
      await db
        .insertInto('peering_invitations')
        .values(row)
        .onConflict((conflict) => conflict.column('id').doUpdateSet(row))
        .execute();
    },
    invitations: async () =>
      (await db.selectFrom('peering_invitations').selectAll().orderBy('created_at', 'desc').execute()).map(invitationOf),
    forgetInvitations: async (endedBefore) => {
      await db.deleteFrom('peering_invitations').where('expires_at', '<', endedBefore).execute();
    },
    peering: async (domain) => {
      const row = await db.selectFrom('peering_peers').selectAll().where('domain', '=', domain).executeTakeFirst();
      return row === undefined ? undefined : peeringOf(row);
    },
    peerings,
    addPeering: async (peering) => {
      const added = await db
        .insertInto('peering_peers')
        .values(peeringRow(peering))
        .onConflict((conflict) => conflict.column('domain').doNothing())
        .executeTakeFirst();
      return added.numInsertedOrUpdatedRows === 1n;
    },
    confirm: async ({ domain, transcript }, where, at, by) => {
      await db
        .updateTable('peering_peers')
        .set(where === 'here' ? { confirmed_at: at, confirmed_by: by ?? null } : { confirmed_there_at: at })
        .where('domain', '=', domain)
        .where('transcript', '=', transcript)
        .where(where === 'here' ? 'confirmed_at' : 'confirmed_there_at', 'is', null)
        .execute();
    },
    keepLists: async ({ domain, transcript, card: held }, crls) => {
      await db
        .updateTable('peering_peers')
        .set({ card: JSON.stringify({ ...held, crls }) })
        .where('domain', '=', domain)
        .where('transcript', '=', transcript)
        .execute();
    },
    removePeering: async ({ domain, transcript }) => {
      await db.deleteFrom('peering_peers').where('domain', '=', domain).where('transcript', '=', transcript).execute();
    },
  };
}

/** What is read back is checked: the database is ours, its disk is not. */
const invitationOf = (row: InvitationTable): StoredInvitation =>
  storedInvitation.parse({
    id: row.id,
    domain: row.domain,
    verifier: JSON.parse(row.verifier),
    dataPaths: JSON.parse(row.data_paths),
    createdBy: row.created_by,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    state: row.state,
    wrongProofs: row.wrong_proofs,
    ...(row.hello === null ? {} : { hello: JSON.parse(row.hello) }),
  });

const rowOf = (of: StoredInvitation): InvitationTable => ({
  id: of.id,
  domain: of.domain,
  verifier: JSON.stringify(of.verifier),
  data_paths: JSON.stringify(of.dataPaths),
  created_by: of.createdBy,
  created_at: of.createdAt,
  expires_at: of.expiresAt,
  state: of.state,
  wrong_proofs: of.wrongProofs,
  hello: of.hello === undefined ? null : JSON.stringify(of.hello),
});

const peeringOf = (row: PeeringTable): Peering =>
  storedPeering.parse({
    domain: row.domain,
    transcript: row.transcript,
    card: JSON.parse(row.card),
    ...(row.url === null ? {} : { url: row.url }),
    dataPaths: JSON.parse(row.data_paths),
    startedBy: row.started_by,
    startedAt: row.started_at,
    ...(row.confirmed_by === null ? {} : { confirmedBy: row.confirmed_by }),
    ...(row.confirmed_at === null ? {} : { confirmedAt: row.confirmed_at }),
    ...(row.confirmed_there_at === null ? {} : { confirmedThereAt: row.confirmed_there_at }),
  });

const peeringRow = (of: Peering): PeeringTable => ({
  domain: of.domain,
  transcript: of.transcript,
  card: JSON.stringify(of.card),
  url: of.url ?? null,
  data_paths: JSON.stringify(of.dataPaths),
  started_by: of.startedBy,
  started_at: of.startedAt,
  confirmed_by: of.confirmedBy ?? null,
  confirmed_at: of.confirmedAt ?? null,
  confirmed_there_at: of.confirmedThereAt ?? null,
});
