import { createHash } from 'node:crypto';
import { type Digest, digest, type KeyId, keyId, migrationId } from '@carnet/events';
import { done, refused as refusedByHost, type SecretOpener, setBack } from '@carnet/hypervisor';
import type { Change, Db, Store, Tx } from '@carnet/store';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { HandoverKeys } from '../../../apps/broker/src/keys/handover-keys.ts';
import { KeyRefused } from '../../../apps/broker/src/keys/refused.ts';
import { DISK_KEY } from '../../../libs/saga/src/testing.ts';
import type { Custody, ReplicaKeys, SpareFiles } from './custody.ts';

/**
 * The key manager of runs with fast signatures: the states of keys and of hand-overs, in the same transactions as the real one, without HPKE. The
 * release carries the key's value, which the deposit does not: who holds only the deposit opens nothing.
 */
type Tables = {
  readonly sim_keys: { readonly key: string; readonly value: string | null; readonly state: State; readonly migration: string };
  readonly sim_handovers: { readonly migration: string; readonly state: Handover };
};
type State = 'pre-active' | 'trial' | 'active' | 'suspended' | 'destroyed';
type Handover = 'deposited' | 'released' | 'ended' | 'paired' | 'acknowledged' | 'opened' | 'imported';

export const simKeyChanges: readonly Change[] = [
  {
    name: 'sim-001-keys',
    up: async (db: Db) => {
      await sql
        .raw(`create table sim_keys (key text primary key, value text, state text not null, migration text not null)`)
        .execute(db);
      await sql.raw(`create table sim_handovers (migration text primary key, state text not null)`).execute(db);
    },
  },
];

export type KeyRules = {
  /** A mutant's: the deposit alone opens the key. */
  readonly importsEarly: boolean;
  /** A mutant's: the source goes on using what it released. */
  readonly keepsReleased: boolean;
};

type Any = Kysely<Tables> | Transaction<Tables>;
const on = (db: Db | Tx): Any => db.$extendTables<Tables>();
const hash = (text: string): Digest => digest.parse(createHash('sha256').update(text).digest('hex'));
const refused = (code: string) => ({ ok: false as const, code: code as 'KEY_UNKNOWN', text: code });

const stateOf = async (db: Any, migration: string): Promise<Handover | undefined> =>
  (await db.selectFrom('sim_handovers').select('state').where('migration', '=', migration).executeTakeFirst())?.state;
const enter = (db: Any, migration: string, state: Handover): Promise<unknown> =>
  db
    .insertInto('sim_handovers')
    .values({ migration, state })
    .onConflict((conflict) => conflict.column('migration').doUpdateSet({ state }))
    .execute();
const setKeys = (db: Any, migration: string, state: State): Promise<unknown> =>
  db.updateTable('sim_keys').set({ state }).where('migration', '=', migration).where('state', '!=', 'destroyed').execute();

export async function createKey(db: Db | Tx, key: KeyId, value: string): Promise<void> {
  await on(db).insertInto('sim_keys').values({ key, value, state: 'active', migration: '' }).execute();
}

/** By the ledger alone: the rows may be of before the deposit, from a backup. */
async function destroyAll(
  tx: Any,
  spares: SpareFiles,
  { migration, epoch }: { readonly migration: string; readonly epoch: number },
  keys: readonly { readonly key: KeyId }[],
): Promise<void> {
  await enter(tx, migration, 'ended');
  // What has come back since stays.
  for (const { key } of keys) if ((spareOf(spares, key)?.epoch ?? epoch) < epoch) spares.delete(key);
  for (const { key } of keys)
    await tx.updateTable('sim_keys').set({ state: 'destroyed', migration }).where('key', '=', key).execute();
}

/** What the whole manager would do by the ledger alone. */
const byLedger = (db: Any, spares: SpareFiles): ReplicaKeys['manager'] => ({
  retire: async (tx, { keys, ...attempt }) => {
    await destroyAll(on(tx), spares, attempt, keys);
    return { ok: true, value: keys.map(({ key }) => key) };
  },
  discard: async (tx, { migration }) => ({ ok: true, value: await discard(on(tx), spares, migration) }),
  undiscardedOf: async (migrations) => {
    const rows = await db
      .selectFrom('sim_handovers')
      .select('migration')
      .where('migration', 'in', [...migrations])
      .where('state', '!=', 'ended')
      .execute();
    return rows.map(({ migration }) => migrationId.parse(migration));
  },
  settleSpares: async () => ({ made: 0, erased: 0 }),
});

async function discard(tx: Any, spares: SpareFiles, migration: string): Promise<KeyId[]> {
  if ((await stateOf(tx, migration)) === undefined) return [];
  await enter(tx, migration, 'ended');
  const rows = await tx.selectFrom('sim_keys').select('key').where('migration', '=', migration).execute();
  await setKeys(tx, migration, 'destroyed');
  for (const { key } of rows) if (spareOf(spares, key)?.migration === migration) spares.delete(key);
  return rows.map(({ key }) => keyId.parse(key));
}

/** One of a key, whichever migration brought it last. */
type Spare = { readonly value: string; readonly migration: string; readonly epoch: number };
const spareOf = (spares: SpareFiles, key: string): Spare | undefined => JSON.parse(spares.get(key) ?? 'null') ?? undefined;

type Hand = Parameters<HandoverKeys['deposit']>[0];

export function simKeys(store: Store, rules: KeyRules, spares: SpareFiles): HandoverKeys {
  const db = on(store.db);
  const ready = <T>(record: (tx: Any) => Promise<{ readonly ok: true; readonly value: T } | ReturnType<typeof refused>>) => ({
    ok: true as const,
    value: { record: (tx: Tx) => record(on(tx)) },
  });
  const rowOf = (from: Any, key: string) => from.selectFrom('sim_keys').selectAll().where('key', '=', key).executeTakeFirst();
  const parts: HandoverKeys = {
    secretForHost: async ({ purpose }, key) => {
      const row = await rowOf(db, key);
      const isGood = row?.state === 'active' || (row?.state === 'trial' && purpose === 'trial-unlock');
      if (typeof row?.value !== 'string' || !isGood)
        throw new KeyRefused('KEY_NOT_ACTIVE', `${key} is ${row?.state ?? 'unknown'}`);
      return { key, sealed: row.value };
    },
    deposit: async (command: Hand, volumes) =>
      ready(async (tx) => {
        const { migration, facts } = command;
        const state = await stateOf(tx, migration);
        if (state !== undefined && state !== 'deposited') return refused('DEPOSIT_ENDED');
        await enter(tx, migration, 'deposited');
        const keys = volumes.map(({ disk, headerDigest }) => ({
          key: disk.key,
          version: 1,
          artifact: disk.artifact,
          kind: 'disk' as const,
          derivation: 'luks-passphrase-hex' as const,
          capacityBytes: disk.capacityBytes,
          headerDigest,
          enc: 'AA==',
          ct: 'AA==',
        }));
        for (const { key } of keys) await tx.updateTable('sim_keys').set({ migration }).where('key', '=', key).execute();
        const { MigrationOffered: offer, OfferAgreed: agreed, MigrationIntended: intent } = facts;
        return {
          ok: true,
          value: { offer: offer.digest, agreed: agreed.digest, commit: hash(migration), notAfter: intent.data.deadline, keys },
        };
      }),
    confirm: async ({ migration }) =>
      (await stateOf(db, migration)) === 'deposited' ? { ok: true, value: null } : refused('DEPOSIT_UNKNOWN'),
    release: async ({ migration, facts }) =>
      ready(async (tx) => {
        if ((await stateOf(tx, migration)) !== 'deposited') return refused('DEPOSIT_ENDED');
        await enter(tx, migration, 'released');
        if (!rules.keepsReleased) await setKeys(tx, migration, 'suspended');
        const [first] = facts.KeyDeposited.data.keys;
        const row = await rowOf(tx, first?.key ?? '');
        const {
          TargetReady: ready_,
          ImageSealed: sealed,
          ImageVerified: verified,
          KeyDeposited: deposit,
          DepositAcknowledged: acknowledged,
        } = facts;
        const cited = {
          ready: ready_.digest,
          sealed: sealed.digest,
          verified: verified.digest,
          deposit: deposit.digest,
          acknowledged: acknowledged.digest,
        };
        return { ok: true, value: { ...cited, roots: verified.data.roots, enc: 'AA==', ct: row?.value ?? 'AA==' } };
      }),
    reinstate: async (tx, { migration }) => {
      const within = tx === undefined ? db : on(tx);
      if ((await stateOf(within, migration)) === undefined) return;
      await enter(within, migration, 'ended');
      await setKeys(within, migration, 'active');
    },
    retire: async (tx, { migration, epoch, facts }) =>
      destroyAll(on(tx), spares, { migration, epoch }, facts.KeyDeposited.data.keys),
    createMigrationKeyPair: async ({ migration }) =>
      ready(async (tx) => {
        if ((await stateOf(tx, migration)) === undefined) await enter(tx, migration, 'paired');
        return { ok: true, value: { kem: '0x647a' as const, publicKey: 'AA==' } };
      }),
    acknowledge: async ({ migration, facts }) =>
      ready(async (tx) => {
        const state = await stateOf(tx, migration);
        if (state !== 'paired' && state !== 'acknowledged') return refused('MIGRATION_KEY_UNKNOWN');
        await enter(tx, migration, 'acknowledged');
        const { digest: deposit, data } = facts.KeyDeposited;
        for (const { key } of data.keys)
          await tx
            .insertInto('sim_keys')
            .values({ key, value: null, state: rules.importsEarly ? 'active' : 'pre-active', migration })
            .onConflict((conflict) =>
              conflict.column('key').doUpdateSet({ value: null, state: rules.importsEarly ? 'active' : 'pre-active', migration }),
            )
            .execute();
        return { ok: true, value: { deposit, macs: data.keys.map(({ key }) => ({ key, mac: hash(key) })) } };
      }),
    openRelease: async ({ migration, facts }) => {
      const state = await stateOf(db, migration);
      if (state !== 'acknowledged' && state !== 'opened') return refused('MIGRATION_KEY_UNKNOWN');
      await store.db.transaction().execute(async (own) => {
        const tx = on(own);
        await tx
          .updateTable('sim_keys')
          .set({ value: facts.KeyReleased.data.ct, state: 'trial' })
          .where('migration', '=', migration)
          .execute();
        await enter(tx, migration, 'opened');
      });
      return { ok: true, value: null };
    },
    importKeys: async (tx, { migration, epoch, facts }) => {
      if ((await stateOf(on(tx), migration)) !== 'opened') throw new KeyRefused('RELEASE_UNKNOWN', migration);
      await enter(on(tx), migration, 'imported');
      for (const { key } of facts.KeyDeposited.data.keys) {
        const row = await rowOf(on(tx), key);
        spares.set(key, JSON.stringify({ value: row?.value ?? '', migration, epoch }));
      }
      await setKeys(on(tx), migration, 'active');
      const keys = facts.KeyDeposited.data.keys.map(({ key, version, artifact }) => ({ key, version, artifact }));
      return { release: facts.KeyReleased.digest, keys, destroyedPublicKey: hash(`public ${migration}`) };
    },
    replacements: async () => [],
    endReplaced: async () => undefined,
    memoryUsed: async () => undefined,
    missing: async (m) => {
      const missing = [];
      for (const { key } of m.facts.KeyDeposited?.data.keys ?? []) {
        const row = await rowOf(db, key);
        const isOld = row?.state === 'destroyed' && row.migration !== m.id;
        if (row === undefined || row.state === 'pre-active' || row.state === 'trial' || isOld) missing.push(key);
      }
      return missing;
    },
    bringBack: async (m) => {
      const keys = (m.facts.KeyDeposited?.data.keys ?? []).map(({ key }) => ({ key, spare: spareOf(spares, key) }));
      if (keys.some(({ spare }) => spare?.migration !== m.id)) return refused('SPARE_MISSING');
      return ready(async (tx) => {
        await enter(tx, m.id, 'imported');
        for (const { key, spare } of keys) {
          const row = { value: spare?.value ?? '', state: 'active' as const, migration: m.id };
          await tx
            .insertInto('sim_keys')
            .values({ key, ...row })
            .onConflict((conflict) => conflict.column('key').doUpdateSet(row))
            .execute();
        }
        return { ok: true, value: null };
      });
    },
    discardImported: (tx, { migration }) => discard(on(tx), spares, migration),
  };
  return parts;
}

const KEY_BYTES = 32;
const SECRET = Buffer.alloc(KEY_BYTES, 7).toString('base64');

/** A key that is given as it is. */
export const plainSecret: SecretOpener = async ({ sealed }) => {
  const key = Buffer.from(sealed, 'base64');
  return key.length === KEY_BYTES ? done(key) : setBack(refusedByHost('SECRET_REFUSED'));
};

/** The model's secrets are the keys themselves. */
export const keyModel: Custody = {
  kind: 'model',
  changes: [simKeyChanges],
  hostKey: () => 'AA==',
  openerOf: () => plainSecret,
  open: ({ store, rules, spares }) => ({
    handover: simKeys(store, rules, spares),
    manager: byLedger(on(store.db), spares),
    create: async () => void (await createKey(store.db, DISK_KEY, SECRET)),
  }),
  isActive: (database, key) => database.rows(`select key from sim_keys where key = ? and state = 'active'`, key).length > 0,
  left: (database) => {
    const [row] = database.rows(`select state from sim_keys where state <> 'destroyed'`);
    return row === undefined ? undefined : `a key is ${String(row['state'])}`;
  },
};
