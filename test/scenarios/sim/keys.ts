import { createHash } from 'node:crypto';
import { type Digest, digest, type KeyId } from '@carnet/events';
import type { KeyManager } from '@carnet/keys';
import type { Change, Db, Store, Tx } from '@carnet/store';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { HandoverKeys } from '../../../apps/broker/src/keys/handover-keys.ts';
import { KeyRefused } from '../../../apps/broker/src/keys/refused.ts';

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

/** Copies of keys that came, outside of the database: what a restore does not bring back. */
export type SimSpares = Map<string, { readonly value: string; readonly migration: string }>;

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
  spares: SimSpares,
  migration: string,
  keys: readonly { readonly key: KeyId }[],
): Promise<void> {
  await enter(tx, migration, 'ended');
  for (const { key } of keys) spares.delete(key);
  for (const { key } of keys)
    await tx.updateTable('sim_keys').set({ state: 'destroyed', migration }).where('key', '=', key).execute();
}

export const retiring = (spares: SimSpares): Pick<KeyManager, 'retire'> => ({
  retire: async (tx, { migration, keys }) => {
    await destroyAll(on(tx), spares, migration, keys);
    return { ok: true, value: keys.map(({ key }) => key) };
  },
});

type Hand = Parameters<HandoverKeys['deposit']>[0];

export function simKeys(store: Store, rules: KeyRules, spares: SimSpares): HandoverKeys {
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
    retire: async (tx, { migration, facts }) => destroyAll(on(tx), spares, migration, facts.KeyDeposited.data.keys),
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
    importKeys: async (tx, { migration, facts }) => {
      if ((await stateOf(on(tx), migration)) !== 'opened') throw new KeyRefused('RELEASE_UNKNOWN', migration);
      await enter(on(tx), migration, 'imported');
      for (const { key } of facts.KeyDeposited.data.keys) {
        const row = await rowOf(on(tx), key);
        spares.set(key, { value: row?.value ?? '', migration });
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
      const keys = (m.facts.KeyDeposited?.data.keys ?? []).map(({ key }) => ({ key, spare: spares.get(key) }));
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
    discardImported: async (tx, { migration }) => {
      const held = on(tx);
      if ((await stateOf(held, migration)) === undefined) return [];
      await enter(held, migration, 'ended');
      const rows = await held.selectFrom('sim_keys').select('key').where('migration', '=', migration).execute();
      await setKeys(held, migration, 'destroyed');
      for (const { key } of rows) spares.delete(key);
      return rows.map(({ key }) => key as KeyId);
    },
  };
  return parts;
}
