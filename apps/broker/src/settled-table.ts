import type { Digest, TrustDomain, VmId } from '@carnet/events';
import type { JourneyEnds, VmWithPeer } from '@carnet/journal';
import type { Change, Store } from '@carnet/store';
import { type Kysely, sql } from 'kysely';

/** `own` and `received`: digests of the journey's last events in either ledger; null: it has none there. */
type SettledRow = {
  readonly vm: VmId;
  readonly peer: TrustDomain;
  readonly own: Digest | null;
  readonly received: Digest | null;
};
type SettledTables = { readonly broker_settled: SettledRow };

export const settledChanges: readonly Change[] = [
  {
    name: 'settled-001-journeys',
    up: async (db) => {
      await db.schema
        .createTable('broker_settled')
        .addColumn('vm', 'text', (column) => column.notNull())
        .addColumn('peer', 'text', (column) => column.notNull())
        .addColumn('own', 'text')
        .addColumn('received', 'text')
        .addPrimaryKeyConstraint('broker_settled_key', ['vm', 'peer'])
        .execute();
    },
  },
];

/**
 * Which journeys were found to owe nothing, when they ended where the row says. A row never counts for a journey that ends elsewhere: in a
 * hash chain, equal ends have equal histories, whatever was restored. So rows may be lost, come late, or be written over each other by
 * replicas. One that lies puts a look off until its turn comes in `page`.
 */
export interface SettledTable {
  readonly write: (ends: JourneyEnds) => Promise<void>;
  /** Of these, the ones that have no row which counts. */
  readonly without: (journeys: readonly JourneyEnds[]) => Promise<readonly JourneyEnds[]>;
  /** Rows in order, those after `after`. */
  readonly page: (after: VmWithPeer | undefined, limit: number) => Promise<readonly VmWithPeer[]>;
}

export function openSettledTable(store: Pick<Store, 'db'>): SettledTable {
  const db: Kysely<SettledTables> = store.db.$extendTables<SettledTables>();
  return {
    write: async ({ vm, peer, own, received }) => {
      const ends = { own: own?.digest ?? null, received: received?.digest ?? null };
      await db
        .insertInto('broker_settled')
        .values({ vm, peer, ...ends })
        .onConflict((conflict) =>
          conflict
            .columns(['vm', 'peer'])
            .doUpdateSet(ends)
            .where((where) =>
              where.or([
                where('broker_settled.own', 'is distinct from', ends.own),
                where('broker_settled.received', 'is distinct from', ends.received),
              ]),
            ),
        )
        .execute();
    },
    without: async (journeys) => {
      const vms = [...new Set(journeys.map(({ vm }) => vm))];
      const rows = await db.selectFrom('broker_settled').selectAll().where('vm', 'in', vms).execute();
      const settled = new Set(rows.map(({ vm, peer, own, received }) => textOf(vm, peer, own, received)));
      return journeys.filter(
        ({ vm, peer, own, received }) => !settled.has(textOf(vm, peer, own?.digest ?? null, received?.digest ?? null)),
      );
    },
    page: async (after, limit) => {
      const rows = db.selectFrom('broker_settled').select(['vm', 'peer']).orderBy('vm').orderBy('peer').limit(limit);
      const { vm, peer } = after ?? {};
      return (vm === undefined ? rows : rows.where(sql<boolean>`(vm, peer) > (${vm}, ${peer})`)).execute();
    },
  };
}

const textOf = (vm: string, peer: string, own: string | null, received: string | null): string =>
  [vm, peer, own, received].join(' ');
