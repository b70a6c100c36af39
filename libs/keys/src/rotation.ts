import { CREATE_KEK, REWRAP, REWRAP_SECRETS } from './child/operations.ts';
import type { KeyPorts } from './ports.ts';
import { insertKek, keksOf } from './records/keks.ts';
import type { KeysDb, KeysTx } from './records/tables.ts';
import { casDeks, casSecret, countBelow, countOutside, deksBelow, secretsBelow } from './records/under-kek.ts';
import { refusal } from './refusal.ts';
import { ok, type Result } from './result.ts';
import type { Tenant, TenantKeks } from './vault/hierarchy.ts';

/** `version`: of a rotation that this caller began before, and now goes on with. */
export type RotationRequest = {
  readonly tenant: Tenant;
  readonly actor: string;
  readonly reason: string;
  readonly version?: number;
};

/**
 * How far a rotation is. `left`: rows that an older KEK version still wraps, counted now; `done` only when none is, and then the older
 * versions are destroyed. `deks`, `secrets`: rows moved by it so far, by all replicas. `outside`: of the tenant's DEKs, those that lie in
 * another key manager: of these the row with the check value moves; what wraps the DEK itself is that key manager's to rotate.
 */
export type RotationProgress = {
  readonly tenant: Tenant;
  readonly version: number;
  readonly deks: number;
  readonly secrets: number;
  readonly outside: number;
  readonly left: number;
  readonly done: boolean;
  readonly destroyed: readonly number[];
};

/**
 * One batch of a rotation: begins one, or goes on with one that was begun, by whomever. Image data is not touched. Whoever crashes, or
 * is overtaken by another replica, calls again: rows move by compare-and-set, and old versions open what they wrap until nothing is left.
 */
export async function rotateSome(ports: KeyPorts, request: RotationRequest): Promise<Result<RotationProgress>> {
  const begun = await begin(ports, request);
  if (!begun.ok) return begun;
  const version = begun.value;
  const { tenant } = request;
  const keks = await keksOf(ports.db, tenant);
  const moved = await moveSome(ports, tenant, version, keks);
  if (!moved.ok) return moved;
  await ports.db.transaction().execute((tx) => finishIfNoneLeft(ports, tx, tenant, version));
  return ok(await progressOf(ports.db, tenant, version));
}

/** The version to which everything shall move. */
async function begin(ports: KeyPorts, request: RotationRequest): Promise<Result<number>> {
  const { tenant } = request;
  if (request.version !== undefined) {
    const known = await rotationOf(ports.db, tenant, request.version);
    return known === undefined ? refusal('ROTATION_UNKNOWN', { about: tenant }) : ok(known.version);
  }
  const open = await unfinished(ports.db, tenant);
  if (open !== undefined) return ok(open);
  const keks = await keksOf(ports.db, tenant);
  if (keks.length === 0) return refusal('PROJECT_UNKNOWN', { about: tenant });
  const version = Math.max(...keks.map((kek) => kek.version)) + 1;
  const made = await ports.call(CREATE_KEK, { tenant, version });
  if (!made.ok) return made;
  const { actor, reason } = request;
  return ok(
    await ports.db.transaction().execute(async (tx) => {
      // The old version's row is the lock: of two replicas that begin at once, the second joins the first.
      await lockVersion(tx, tenant, version - 1);
      const first = await unfinished(tx, tenant);
      if (first !== undefined) return first;
      const at = ports.now();
      if (!(await insertKek(tx, made.value, at))) return version;
      await tx
        .insertInto('keys_rotations')
        .values({ tenant, version, actor, reason, deks: 0, secrets: 0, started_at: at, finished_at: null })
        .execute();
      return version;
    }),
  );
}

const lockVersion = (tx: KeysTx, tenant: Tenant, version: number) =>
  tx
    .selectFrom('keys_keks')
    .select('version')
    .where('tenant', '=', tenant)
    .where('version', '=', version)
    .forUpdate()
    .executeTakeFirst();

const rotationOf = (db: KeysDb, tenant: Tenant, version: number) =>
  db.selectFrom('keys_rotations').selectAll().where('tenant', '=', tenant).where('version', '=', version).executeTakeFirst();

async function unfinished(db: KeysDb, tenant: Tenant): Promise<number | undefined> {
  const row = await db
    .selectFrom('keys_rotations')
    .select('version')
    .where('tenant', '=', tenant)
    .where('finished_at', 'is', null)
    .orderBy('version', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.version;
}

async function moveSome(ports: KeyPorts, tenant: Tenant, version: number, keks: TenantKeks): Promise<Result<null>> {
  const deks = await deksBelow(ports.db, tenant, version);
  const rewrapped = deks.length === 0 ? ok([]) : await ports.call(REWRAP, { keks, deks });
  if (!rewrapped.ok) return rewrapped;
  const secrets = await secretsBelow(ports.db, tenant, version);
  const kept = new Map(secrets.map((secret) => [`${secret.kind} ${secret.migration}`, secret.wrapped]));
  const resealed = secrets.length === 0 ? ok([]) : await ports.call(REWRAP_SECRETS, { tenant, keks, secrets });
  if (!resealed.ok) return resealed;
  const moved = deks.flatMap((from, i) => {
    const to = rewrapped.value[i];
    return to === undefined ? [] : [{ from, to }];
  });
  const counts = { deks: moved.length === 0 ? 0 : await casDeks(ports.db, moved), secrets: 0 };
  for (const secret of resealed.value)
    counts.secrets += await casSecret(ports.db, secret, kept.get(`${secret.kind} ${secret.migration}`) ?? '');
  await ports.db
    .updateTable('keys_rotations')
    .set((e) => ({ deks: e('deks', '+', counts.deks), secrets: e('secrets', '+', counts.secrets) }))
    .where('tenant', '=', tenant)
    .where('version', '=', version)
    .execute();
  return ok(null);
}

/** Under the locks of all older versions: whoever writes a row under one of them has committed before, and is counted, or fails. */
async function finishIfNoneLeft(ports: KeyPorts, tx: KeysTx, tenant: Tenant, version: number): Promise<void> {
  await tx
    .selectFrom('keys_keks')
    .select('version')
    .where('tenant', '=', tenant)
    .where('version', '<', version)
    .orderBy('version')
    .forUpdate()
    .execute();
  if ((await countBelow(tx, tenant, version)) !== 0) return;
  const at = ports.now();
  await tx
    .updateTable('keys_keks')
    .set({ wrapped: null, destroyed_at: at })
    .where('tenant', '=', tenant)
    .where('version', '<', version)
    .where('wrapped', 'is not', null)
    .execute();
  await tx
    .updateTable('keys_rotations')
    .set({ finished_at: at })
    .where('tenant', '=', tenant)
    .where('version', '<=', version)
    .where('finished_at', 'is', null)
    .execute();
}

async function progressOf(db: KeysDb, tenant: Tenant, version: number): Promise<RotationProgress> {
  const row = await rotationOf(db, tenant, version);
  const destroyed = await db
    .selectFrom('keys_keks')
    .select('version')
    .where('tenant', '=', tenant)
    .where('version', '<', version)
    .where('wrapped', 'is', null)
    .orderBy('version')
    .execute();
  return {
    tenant,
    version,
    deks: row?.deks ?? 0,
    secrets: row?.secrets ?? 0,
    outside: await countOutside(db, tenant),
    left: await countBelow(db, tenant, version),
    done: row?.finished_at !== null && row !== undefined,
    destroyed: destroyed.map((kek) => kek.version),
  };
}

/** The whole rotation, for callers that need no progress. */
export async function rotateKek(ports: KeyPorts, request: RotationRequest): Promise<Result<RotationProgress>> {
  for (let step = await rotateSome(ports, request); ; step = await rotateSome(ports, { ...request, version: step.value.version }))
    if (!step.ok || step.value.done) return step;
}
