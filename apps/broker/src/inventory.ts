import { type HostName, hostName, type VmId, type VmRestrictions, type VmSpec, vmId, vmSpec } from '@carnet/events';
import { restrictionsOf } from '@carnet/policy';
import type { Log } from '@carnet/runtime';
import type { Change, Db, Store, Tx } from '@carnet/store';
import { type Generated, type Kysely, sql, type Transaction } from 'kysely';
import { chooseHost } from './hosts/choose-host.ts';
import type { HostRegistry } from './hosts/registry.ts';

const sqlNow = sql`now()`;

type VmTable = {
  readonly vm: string;
  readonly spec: string;
  readonly host: string;
  readonly epoch: number;
  readonly created_at: Generated<Date>;
};
type ImageTable = {
  readonly name: string;
  readonly host: string;
  readonly key: string;
  readonly digest: string;
  readonly size_bytes: string;
  readonly capacity_bytes: string;
  readonly created_at: Generated<Date>;
};
type InventoryTables = { readonly broker_vms: VmTable; readonly broker_images: ImageTable };

export interface HeldVm {
  readonly vm: VmId;
  readonly spec: VmSpec;
  readonly host: HostName;
  readonly epoch: number;
}
export interface HeldImage {
  readonly name: string;
  readonly host: HostName;
  readonly key: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly capacityBytes: number;
  readonly createdAt: string;
}

/** Which VMs and images this CSP holds, and on which host. Rows change in the transaction of the event that changes custody. */
export interface Inventory {
  readonly vms: () => Promise<readonly HeldVm[]>;
  readonly vm: (vm: VmId) => Promise<HeldVm | undefined>;
  /** As `vm`, locked until the transaction ends. */
  readonly lockVm: (tx: Tx, vm: VmId) => Promise<HeldVm | undefined>;
  readonly hostOf: (vm: VmId) => Promise<HostName | undefined>;
  /** False when the VM is held already: what is here is never replaced by what a peer sends under its name. */
  readonly add: (db: Db | Tx, held: HeldVm) => Promise<boolean>;
  /** Other keys open its disks from now on. */
  readonly respec: (db: Db | Tx, vm: VmId, spec: VmSpec) => Promise<void>;
  readonly remove: (db: Db | Tx, vm: VmId) => Promise<void>;
  readonly images: () => Promise<readonly HeldImage[]>;
  /** False when an image of this name is listed already. */
  readonly putImage: (db: Db | Tx, image: Omit<HeldImage, 'createdAt'>) => Promise<boolean>;
  /** Replaces what is said of a VM that is held; its disks and keys stay as they are. */
  readonly restrict: (vm: VmId, restrictions: VmRestrictions) => Promise<void>;
  /** The least loaded admissible host, see `chooseHost`; the choice and its reasons are logged. */
  readonly hostFor: (spec: VmSpec) => HostName | undefined;
}

export const inventoryChanges: readonly Change[] = [
  {
    name: 'broker-001-inventory',
    up: async (db) => {
      await db.schema
        .createTable('broker_vms')
        .addColumn('vm', 'text', (column) => column.primaryKey())
        .addColumn('spec', 'text', (column) => column.notNull())
        .addColumn('host', 'text', (column) => column.notNull())
        .addColumn('epoch', 'integer', (column) => column.notNull())
        .addColumn('created_at', 'timestamptz', (column) => column.notNull().defaultTo(sqlNow))
        .execute();
      await db.schema
        .createTable('broker_images')
        .addColumn('name', 'text', (column) => column.primaryKey())
        .addColumn('host', 'text', (column) => column.notNull())
        .addColumn('key', 'text', (column) => column.notNull())
        .addColumn('digest', 'text', (column) => column.notNull())
        .addColumn('size_bytes', 'bigint', (column) => column.notNull())
        .addColumn('capacity_bytes', 'bigint', (column) => column.notNull())
        .addColumn('created_at', 'timestamptz', (column) => column.notNull().defaultTo(sqlNow))
        .execute();
    },
  },
];

export interface InventoryPorts {
  readonly store: Store;
  readonly hosts: readonly HostName[];
  readonly registry: () => HostRegistry;
  /** A host's security level. */
  readonly levelOf: (host: HostName) => number;
  readonly log: Log;
}

export function openInventory({ store, hosts, registry, levelOf, log }: InventoryPorts): Inventory {
  const tables = (db: Db | Tx): Kysely<InventoryTables> | Transaction<InventoryTables> => db.$extendTables<InventoryTables>();
  const queryOf = (db: Db | Tx, vm: VmId) => tables(db).selectFrom('broker_vms').selectAll().where('vm', '=', vm);
  const one = async (vm: VmId): Promise<HeldVm | undefined> => {
    const row = await queryOf(store.db, vm).executeTakeFirst();
    return row === undefined ? undefined : heldVm(row);
  };
  return {
    vms: async () => (await tables(store.db).selectFrom('broker_vms').selectAll().orderBy('vm').execute()).map(heldVm),
    vm: one,
    lockVm: async (tx, vm) => {
      const row = await queryOf(tx, vm).forUpdate().executeTakeFirst();
      return row === undefined ? undefined : heldVm(row);
    },
    hostOf: async (vm) => (await one(vm))?.host,
    add: async (db, { vm, spec, host, epoch }) => {
      const added = await tables(db)
        .insertInto('broker_vms')
        .values({ vm, spec: JSON.stringify(spec), host, epoch })
        .onConflict((conflict) => conflict.column('vm').doNothing())
        .executeTakeFirst();
      return (added.numInsertedOrUpdatedRows ?? 0n) > 0n;
    },
    respec: async (db, vm, spec) => {
      await tables(db)
        .updateTable('broker_vms')
        .set({ spec: JSON.stringify(spec) })
        .where('vm', '=', vm)
        .execute();
    },
    remove: async (db, vm) => {
      await tables(db).deleteFrom('broker_vms').where('vm', '=', vm).execute();
    },
    restrict: async (vm, restrictions) => {
      const held = await one(vm);
      if (held === undefined) return;
      const spec = JSON.stringify({ ...held.spec, restrictions });
      await tables(store.db).updateTable('broker_vms').set({ spec }).where('vm', '=', vm).execute();
    },
    images: async () => (await tables(store.db).selectFrom('broker_images').selectAll().orderBy('name').execute()).map(heldImage),
    putImage: async (db, { name, host, key, digest, sizeBytes, capacityBytes }) => {
      const put = await tables(db)
        .insertInto('broker_images')
        .values({ name, host, key, digest, size_bytes: String(sizeBytes), capacity_bytes: String(capacityBytes) })
        .onConflict((conflict) => conflict.column('name').doNothing())
        .executeTakeFirst();
      return (put.numInsertedOrUpdatedRows ?? 0n) > 0n;
    },
    hostFor: (spec) => {
      const candidates = hosts.map((host) => ({
        host,
        isUp: registry().isUp(host),
        level: levelOf(host),
        memoryMiBFree: registry().hello(host)?.capacity.memoryMiBFree ?? 0,
      }));
      const wanted = { level: restrictionsOf(spec).level, memoryMiB: spec.memoryMiB };
      const { host, memoryMiBFree, passedOver } = chooseHost(candidates, wanted);
      log.info({ vmName: spec.name, host, memoryMiBFree, wanted, passedOver }, 'host chosen');
      return host;
    },
  };
}

const heldVm = (row: { readonly vm: string; readonly spec: string; readonly host: string; readonly epoch: number }): HeldVm => ({
  vm: vmId.parse(row.vm),
  spec: vmSpec.parse(JSON.parse(row.spec)),
  host: hostName.parse(row.host),
  epoch: row.epoch,
});

const heldImage = (row: {
  readonly name: string;
  readonly host: string;
  readonly key: string;
  readonly digest: string;
  readonly size_bytes: string;
  readonly capacity_bytes: string;
  readonly created_at: Date;
}): HeldImage => ({
  name: row.name,
  host: hostName.parse(row.host),
  key: row.key,
  digest: row.digest,
  sizeBytes: Number(row.size_bytes),
  capacityBytes: Number(row.capacity_bytes),
  createdAt: row.created_at.toISOString(),
});
