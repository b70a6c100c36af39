import { createHash } from 'node:crypto';
import { type DepositedKey, type Digest, digest, type KeyId, keyId, migrationId, replacedVolumes } from '@carnet/events';
import { done, refused as refusedByHost, type SecretOpener, setBack } from '@carnet/hypervisor';
import type { MigrationState } from '@carnet/saga';
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
  readonly sim_keys: {
    readonly key: string;
    readonly kind: 'disk' | 'memory';
    readonly value: string | null;
    readonly state: State;
    readonly migration: string;
  };
  readonly sim_handovers: { readonly migration: string; readonly state: Handover };
};
type State = 'pre-active' | 'trial' | 'active' | 'suspended' | 'destroyed';
type Handover = 'deposited' | 'released' | 'ended' | 'paired' | 'acknowledged' | 'opened' | 'imported';

export const simKeyChanges: readonly Change[] = [
  {
    name: 'sim-001-keys',
    up: async (db: Db) => {
      await sql
        .raw(
          `create table sim_keys (key text primary key, kind text not null, value text, state text not null, migration text not null)`,
        )
        .execute(db);
      await sql.raw(`create table sim_handovers (migration text primary key, state text not null)`).execute(db);
    },
  },
];

export type KeyRules = {
  /** A mutant's: the deposit alone opens the key; or any release of the key does that ever came, whatever its epoch. */
  readonly imports: 'on-release' | 'on-deposit' | 'on-any-release';
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
  await on(db).insertInto('sim_keys').values({ key, kind: 'disk', value, state: 'active', migration: '' }).execute();
}

/** A key made for a migration; asked again, the same one. */
async function makeKey(tx: Any, kind: 'disk' | 'memory', key: KeyId, migration: string): Promise<void> {
  const value = createHash('sha256').update(`value of ${key}`).digest('base64');
  await tx
    .insertInto('sim_keys')
    .values({ key, kind, value, state: 'active', migration })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** The key that takes another's place follows from the migration. */
function replacementOf(migration: string, old: KeyId): KeyId {
  const hex = hash(`${migration} replaces ${old}`);
  return keyId.parse(`${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`);
}
const disksOf = (keys: readonly DepositedKey[]): readonly DepositedKey[] => keys.filter(({ kind }) => kind === 'disk');

/** What a release carries: the value of each key. */
type Values = Readonly<Record<string, string | null>>;
const sealValues = (values: Values): string => Buffer.from(JSON.stringify(values)).toString('base64');
const openValues = (sealed: string): Values => JSON.parse(Buffer.from(sealed, 'base64').toString());

/** By the ledger alone: the rows may be of before the deposit, from a backup, or of before an earlier move, under another key. */
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
  const used = await tx.selectFrom('sim_keys').select('key').where('state', 'in', ['active', 'suspended']).execute();
  await destroyHere(
    tx,
    used.map(({ key }) => ({ key: keyId.parse(key) })).filter(({ key }) => (spareOf(spares, key)?.epoch ?? 0) < epoch),
  );
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
  stillHoldingOf: async (migrations) => {
    const opening = db
      .selectFrom('sim_handovers')
      .select('migration')
      .where('migration', 'in', [...migrations])
      .where('state', 'in', ['paired', 'acknowledged', 'opened']);
    const held = db
      .selectFrom('sim_keys')
      .select('migration')
      .where('migration', 'in', [...migrations])
      .where('state', '!=', 'destroyed');
    return (await opening.union(held).execute()).map(({ migration }) => migrationId.parse(migration));
  },
  unendedOf: async (migrations) => {
    const rows = await db
      .selectFrom('sim_handovers')
      .select('migration')
      .where('migration', 'in', [...migrations])
      .where('state', 'in', ['deposited', 'released'])
      .execute();
    return rows.map(({ migration }) => migrationId.parse(migration));
  },
  undestroyedOf: async (keys) => {
    const rows = await db
      .selectFrom('sim_keys')
      .select('key')
      .where('key', 'in', [...keys])
      .where('state', '!=', 'destroyed')
      .execute();
    return rows.map(({ key }) => keyId.parse(key));
  },
  // Peers are told nothing of keys here.
  sharedByLedger: async () => undefined,
  releasedByLedger: async (tx, { migration, deposit }) => {
    if ((await stateOf(on(tx), migration)) === 'ended') return;
    const here = deposit.data.keys.map(({ key }) => key);
    const suspended = await on(tx)
      .updateTable('sim_keys')
      .set({ state: 'suspended', migration })
      .where('key', 'in', here)
      .where('state', 'in', ['active', 'suspended'])
      .executeTakeFirst();
    if (suspended.numUpdatedRows > 0n) await enter(on(tx), migration, 'released');
  },
  settleSpares: async () => ({ made: 0, erased: 0 }),
  eraseSpares: async (over) => {
    for (const { epoch, keys, why } of over)
      for (const key of spares.keys()) {
        const spare = spareOf(spares, key);
        const takesPlace = (old: KeyId): boolean => why === 'given-back' && replacementOf(spare?.migration ?? '', old) === key;
        if (spare?.epoch === epoch && keys.some((old) => old === key || takesPlace(old))) spares.delete(key);
      }
  },
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

function keepSpare(
  spares: SpareFiles,
  key: string,
  row: { readonly value: string | null } | undefined,
  attempt: { readonly migration: string; readonly epoch: number },
): void {
  spares.set(key, JSON.stringify({ value: row?.value ?? '', ...attempt }));
}

/** The spares stay until that is durable: `eraseSpares`. */
async function destroyHere(tx: Any, keys: readonly { readonly key: KeyId }[]): Promise<void> {
  for (const { key } of keys) await tx.updateTable('sim_keys').set({ state: 'destroyed' }).where('key', '=', key).execute();
}

/** What a migration leaves here: keys that took others' places, and no memory key once it was used. */
function wantedOf({ id, facts }: MigrationState): readonly { readonly key: KeyId; readonly kind: 'disk' | 'memory' }[] {
  const isRekeyed = replacedVolumes(facts.VolumeRekeyed?.data).length > 0;
  return (facts.KeyDeposited?.data.keys ?? []).flatMap(({ key, kind }): { key: KeyId; kind: 'disk' | 'memory' }[] => {
    if (kind === 'memory') return facts.VmStarted === undefined ? [{ key, kind }] : [];
    return [{ key: isRekeyed ? replacementOf(id, key) : key, kind: 'disk' }];
  });
}

type Hand = Parameters<HandoverKeys['deposit']>[0];

export function simKeys(store: Store, rules: KeyRules, spares: SpareFiles): HandoverKeys {
  const db = on(store.db);
  const ready = <T>(record: (tx: Any) => Promise<{ readonly ok: true; readonly value: T } | ReturnType<typeof refused>>) => ({
    ok: true as const,
    value: { record: (tx: Tx) => record(on(tx)) },
  });
  const rowOf = (from: Any, key: string) => from.selectFrom('sim_keys').selectAll().where('key', '=', key).executeTakeFirst();
  const wasReleased = async (from: Any, key: string): Promise<boolean> => typeof (await rowOf(from, key))?.value === 'string';
  const parts: HandoverKeys = {
    secretForHost: async ({ purpose }, key) => {
      const row = await rowOf(db, key);
      const isGood = row?.state === 'active' || (row?.state === 'trial' && purpose === 'trial-unlock');
      if (typeof row?.value !== 'string' || !isGood)
        throw row === undefined ? new KeyRefused('KEY_UNKNOWN', key) : new KeyRefused('KEY_NOT_ACTIVE', `${key} is ${row.state}`);
      return { key, sealed: row.value };
    },
    deposit: async (command: Hand, volumes, memory) =>
      ready(async (tx) => {
        const { migration, facts } = command;
        const state = await stateOf(tx, migration);
        if (state !== undefined && state !== 'deposited') return refused('DEPOSIT_ENDED');
        await enter(tx, migration, 'deposited');
        const sealed = { version: 1, enc: 'AA==', ct: 'AA==' };
        const disks = volumes.map(({ disk: { key, artifact, capacityBytes }, headerDigest }) => ({
          ...sealed,
          key,
          artifact,
          capacityBytes,
          headerDigest,
          kind: 'disk' as const,
          derivation: 'luks-passphrase-hex' as const,
        }));
        const states = (memory === undefined ? [] : [memory]).map(({ key, artifact }) => ({
          ...sealed,
          key,
          artifact,
          capacityBytes: 0,
          kind: 'memory' as const,
          derivation: 'aes-256-gcm-stream' as const,
        }));
        for (const { key } of states) await makeKey(tx, 'memory', key, migration);
        const keys = [...disks, ...states];
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
        const rows = await Promise.all(facts.KeyDeposited.data.keys.map(({ key }) => rowOf(tx, key)));
        const ct = sealValues(Object.fromEntries(rows.flatMap((row) => (row === undefined ? [] : [[row.key, row.value]]))));
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
        return { ok: true, value: { ...cited, roots: verified.data.roots, enc: 'AA==', ct } };
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
        for (const { key, kind } of data.keys) {
          const isOpen = rules.imports === 'on-deposit' || (rules.imports === 'on-any-release' && (await wasReleased(tx, key)));
          const held = { value: null, state: isOpen ? ('active' as const) : ('pre-active' as const), migration };
          await tx
            .insertInto('sim_keys')
            .values({ key, kind: kind === 'memory' ? 'memory' : 'disk', ...held })
            .onConflict((conflict) => conflict.column('key').doUpdateSet(held))
            .execute();
        }
        return { ok: true, value: { deposit, macs: data.keys.map(({ key }) => ({ key, mac: hash(key) })) } };
      }),
    openRelease: async ({ migration, facts }) => {
      const state = await stateOf(db, migration);
      if (state !== 'acknowledged' && state !== 'opened') return refused('MIGRATION_KEY_UNKNOWN');
      await store.db.transaction().execute(async (own) => {
        const tx = on(own);
        for (const [key, value] of Object.entries(openValues(facts.KeyReleased.data.ct)))
          await tx
            .updateTable('sim_keys')
            .set({ value, state: 'trial' })
            .where('key', '=', key)
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
        keepSpare(spares, key, await rowOf(on(tx), key), { migration, epoch });
      }
      await setKeys(on(tx), migration, 'active');
      const keys = facts.KeyDeposited.data.keys.map(({ key, version, artifact }) => ({ key, version, artifact }));
      return { release: facts.KeyReleased.digest, keys, destroyedPublicKey: hash(`public ${migration}`) };
    },
    replacements: async ({ migration, epoch, facts }) => {
      const made = disksOf(facts.KeyDeposited.data.keys).map((old) => ({
        old,
        key: replacementOf(migration, old.key),
        version: 1,
      }));
      await store.db.transaction().execute(async (tx) => {
        for (const { key } of made) {
          await makeKey(on(tx), 'disk', key, migration);
          keepSpare(spares, key, await rowOf(on(tx), key), { migration, epoch });
        }
      });
      return made;
    },
    endReplaced: (tx, _, keys) => destroyHere(on(tx), disksOf(keys)),
    memoryUsed: (tx, _, keys) =>
      destroyHere(
        on(tx),
        keys.filter(({ kind }) => kind === 'memory'),
      ),
    missing: async (m) => {
      const missing = [];
      for (const { key } of wantedOf(m)) {
        const row = await rowOf(db, key);
        const isOld = row?.state === 'destroyed' && row.migration !== m.id;
        if (row === undefined || row.state === 'pre-active' || row.state === 'trial' || isOld) missing.push(key);
      }
      return missing;
    },
    bringBack: async (m) => {
      const keys = wantedOf(m).map(({ key, kind }) => ({ key, kind, spare: spareOf(spares, key) }));
      if (keys.some(({ spare }) => spare?.migration !== m.id)) return refused('SPARE_MISSING');
      return ready(async (tx) => {
        await enter(tx, m.id, 'imported');
        for (const { key, kind, spare } of keys) {
          const row = { kind, value: spare?.value ?? '', state: 'active' as const, migration: m.id };
          await tx
            .insertInto('sim_keys')
            .values({ key, ...row })
            .onConflict((conflict) => conflict.column('key').doUpdateSet(row))
            .execute();
        }
        const stay = new Set<string>(keys.map(({ key }) => key));
        await destroyHere(
          tx,
          (m.facts.KeyDeposited?.data.keys ?? []).filter(({ key }) => !stay.has(key)),
        );
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
  isActive: (database) => database.rows(`select key from sim_keys where kind = 'disk' and state = 'active'`).length > 0,
  isKept: (database) =>
    database.rows(`select key from sim_keys where kind = 'disk' and state <> 'destroyed' and value is not null`).length > 0,
  isSpared: () => true,
  left: (database, needed) => {
    const rows = database.rows(`select key, kind, state from sim_keys where state <> 'destroyed'`);
    const row = rows.find(({ key }) => !needed.includes(String(key)));
    return row === undefined ? undefined : `a ${String(row['kind'])} key is ${String(row['state'])}`;
  },
};
