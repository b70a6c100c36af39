import {
  type MigrationId,
  migrationId,
  migrationMode,
  type OpenAmounts,
  reason,
  type Timestamp,
  type TrustDomain,
  timestamp,
  trustDomain,
  type VmId,
  vmId,
} from '@carnet/events';
import type { Change, Store } from '@carnet/store';
import { type Kysely, type RawBuilder, sql } from 'kysely';
import { z } from 'zod';
import type { MigrationRow } from './migration-row.ts';

/** The row as JSON beside the columns that lists filter and sort by. A view: it can be dropped and made again from the ledgers. */
type ViewTables = {
  readonly views_migrations: {
    readonly migration: string;
    readonly source: string;
    readonly vm: string;
    readonly ended: boolean;
    readonly started_at: string;
    readonly updated_at: string;
    readonly row: string;
  };
};

export const viewsChanges: readonly Change[] = [
  {
    name: 'views-001-migrations',
    up: async (db) => {
      await db.schema
        .createTable('views_migrations')
        .addColumn('migration', 'text', (column) => column.notNull())
        .addColumn('source', 'text', (column) => column.notNull())
        .addColumn('vm', 'text', (column) => column.notNull())
        .addColumn('ended', 'boolean', (column) => column.notNull())
        .addColumn('started_at', 'text', (column) => column.notNull())
        .addColumn('row', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('views_migrations_key', ['migration', 'source'])
        .execute();
      await db.schema.createIndex('views_migrations_by_start').on('views_migrations').columns(['started_at']).execute();
      await db.schema.createIndex('views_migrations_by_vm').on('views_migrations').columns(['vm', 'started_at']).execute();
    },
  },
  {
    name: 'views-002-updated-at',
    up: async (db) => {
      await db.schema
        .alterTable('views_migrations')
        .addColumn('updated_at', 'text', (column) => column.notNull().defaultTo(''))
        .execute();
    },
  },
  {
    name: 'views-003-open',
    up: async (db) => {
      // Policies count the open ones at each request: a long past must not be read for it.
      await sql`create index views_migrations_open on views_migrations (started_at) where not ended`.execute(db);
    },
  },
];

/** What is read back is checked too: the database is ours, its disk is not. */
const storedRow = z.object({
  migration: migrationId,
  vm: vmId,
  epoch: z.int(),
  source: trustDomain,
  target: trustDomain,
  mode: migrationMode,
  memoryMiB: z.int(),
  diskBytes: z.int(),
  phase: z.string(),
  sourcePhase: z.string(),
  targetPhase: z.string(),
  ended: z.boolean(),
  outcome: z.enum(['open', 'done', 'rolled-back', 'refused', 'withdrawn']),
  startedAt: timestamp,
  updatedAt: timestamp,
  reasons: z.array(reason).readonly(),
});

export interface MigrationFilter {
  readonly open?: boolean;
  readonly vm?: VmId;
  /** Rows at most. */
  readonly limit: number;
}

export interface Suspected {
  readonly self: TrustDomain;
  readonly phases: readonly string[];
  readonly unchangedSince: Timestamp;
  readonly limit: number;
}

export interface MigrationViews {
  /**
   * Writes rows that changed, and leaves the others alone: most looks find nothing new. Replicas race, and one may have folded less than the other:
   * an older fold never replaces a newer one, and an ended migration never opens again.
   */
  readonly record: (rows: readonly MigrationRow[]) => Promise<void>;
  /** Newest first. */
  readonly list: (filter: MigrationFilter) => Promise<readonly MigrationRow[]>;
  /** Ours before a peer's, and one that we took up before one that we refused. Threat: a peer opens another of the same id, and it is looked at in the place of ours. */
  readonly get: (id: MigrationId, self: TrustDomain) => Promise<MigrationRow | undefined>;
  /**
   * Open ones that somebody should look at: in one of these phases (first), or unchanged since then (the longest first). What we refused and its source
   * never ended is nobody's. Threat: a peer opens more than anybody looks at, and another's move in doubt is not among them.
   */
  readonly suspects: (of: Suspected) => Promise<readonly MigrationRow[]>;
  /** Open ones with a peer but for what it merely asked for, and what we refused: those it may leave open for ever. */
  readonly takenUpWith: (peer: TrustDomain, self: TrustDomain, limit: number) => Promise<readonly MigrationRow[]>;
  /** Open migrations with a peer, but for one: what this CSP asked for, and what it has offered room for. An intent that waits for an answer takes nothing yet. */
  readonly countOpen: (
    peer: TrustDomain,
    except: MigrationId,
  ) => Promise<{ readonly fromPeer: OpenAmounts; readonly toPeer: OpenAmounts }>;
  /** Offers to a peer that it has neither agreed to nor ended. */
  readonly countUnanswered: (peer: TrustDomain) => Promise<number>;
}

export function openMigrationViews(store: Store): MigrationViews {
  const db: Kysely<ViewTables> = store.db.$extendTables<ViewTables>();
  const rowsOf = async (which: RawBuilder<unknown>): Promise<readonly MigrationRow[]> => {
    const { rows } = await sql<{ readonly row: string }>`select row from views_migrations ${which}`.execute(store.db);
    return rows.map(({ row }) => storedRow.parse(JSON.parse(row)));
  };
  return {
    record: async (rows) => {
      for (const row of rows) {
        const changed = { ended: row.ended, updated_at: row.updatedAt, row: JSON.stringify(row) };
        await db
          .insertInto('views_migrations')
          .values({ migration: row.migration, source: row.source, vm: row.vm, started_at: row.startedAt, ...changed })
          .onConflict((conflict) =>
            conflict
              .columns(['migration', 'source'])
              .doUpdateSet(changed)
              .where('views_migrations.row', '<>', changed.row)
              .where('views_migrations.updated_at', '<=', row.updatedAt)
              .where((where) => where.or([where('views_migrations.ended', '=', false), where.lit(row.ended)])),
          )
          .execute();
      }
    },
    list: async ({ open, vm, limit }) => {
      let query = db.selectFrom('views_migrations').select('row').orderBy('started_at', 'desc').limit(limit);
      if (open !== undefined) query = query.where('ended', '=', !open);
      if (vm !== undefined) query = query.where('vm', '=', vm);
      return (await query.execute()).map(({ row }) => storedRow.parse(JSON.parse(row)));
    },
    get: async (id, self) => {
      const [found] = await rowsOf(sql`where migration = ${id}
        order by (source = ${self}) desc, row::json->>'targetPhase' in ('idle', 'refused'), source limit 1`);
      return found;
    },
    suspects: ({ self, phases, unchangedSince, limit }) => {
      const isIn = sql`row::json->>'phase' in (${sql.join(phases)})`;
      return rowsOf(sql`where not ended and (source = ${self} or row::json->>'targetPhase' <> 'refused')
        and (${isIn} or updated_at < ${unchangedSince}) order by ${isIn} desc, updated_at limit ${limit}`);
    },
    takenUpWith: (peer, self, limit) =>
      rowsOf(sql`where not ended and (source = ${self} and row::json->>'target' = ${peer}
        or source = ${peer} and row::json->>'targetPhase' not in ('idle', 'refused')) limit ${limit}`),
    countOpen: async (peer, except) => {
      const of = (side: 'source' | 'target'): Promise<OpenAmounts> => openWith(store, side, peer, except);
      return { fromPeer: await of('source'), toPeer: await of('target') };
    },
    countUnanswered: async (peer) => {
      const { rows } = await sql<{ readonly offers: unknown }>`
        select count(*) as offers from views_migrations
        where not ended and source = ${peer} and row::json->>'sourcePhase' = 'intended' and row::json->>'targetPhase' = 'offered'`.execute(
        store.db,
      );
      return Number(rows[0]?.offers ?? 0);
    },
  };
}

/** Sums over the rows of what is open; a side that has nothing open has none. */
async function openWith(store: Store, side: 'source' | 'target', peer: TrustDomain, except: MigrationId): Promise<OpenAmounts> {
  const { rows } = await sql<{ readonly migrations: unknown; readonly memory: unknown; readonly disk: unknown }>`
    select count(*) as migrations,
      coalesce(sum((row::json->>'memoryMiB')::int8), 0) as memory,
      coalesce(sum((row::json->>'diskBytes')::int8), 0) as disk
    from views_migrations
    where not ended and migration <> ${except} and row::json->>${side} = ${peer}
      and (${side}::text = 'target' or row::json->>'targetPhase' <> 'idle')`.execute(store.db);
  const [sums] = rows;
  return {
    migrations: Number(sums?.migrations ?? 0),
    memoryMiB: Number(sums?.memory ?? 0),
    diskBytes: Number(sums?.disk ?? 0),
  };
}
