import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Change, openStore, runChanges, type Store, StoreError, withLease } from './index.ts';
import { lockDirectory } from './lock-file.ts';

const warned: string[] = [];
const log = { info: () => undefined, warn: (_: object, text: string) => void warned.push(text) };
const dir = mkdtempSync(join(tmpdir(), 'carnet-store-'));
let store: Store;

beforeAll(async () => {
  store = await openStore({ dir: join(dir, 'db'), log, applicationName: 'test' });
}, 60_000);

afterAll(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

const change = (name: string, statement: string): Change => ({
  name,
  up: async (db) => {
    await sql.raw(statement).execute(db);
  },
});

describe('embedded store', () => {
  it('says that it does not fsync', () => expect(warned.join()).toMatch(/does not fsync/));

  it('refuses a second opening of its directory', async () => {
    const second = openStore({ dir: join(dir, 'db'), log, applicationName: 'test' });
    await expect(second).rejects.toMatchObject({ code: 'STORE_LOCKED' });
  });

  it('gives 64-bit integers, bytes, arrays and JSON as the other kind does', async () => {
    const { rows } =
      await sql`select 9007199254740991::int8 as n, '\\x01ff'::bytea as b, ${JSON.stringify({ x: [1] })}::jsonb as j`.execute(
        store.db,
      );
    expect(rows).toEqual([{ n: 9007199254740991, b: new Uint8Array([1, 255]), j: { x: [1] } }]);
  });

  it('delivers notices', async () => {
    const heard: string[] = [];
    const stop = await store.listen('chan', (payload) => heard.push(payload));
    await store.notify('chan', 'one');
    await expect.poll(() => heard).toEqual(['one']);
    await stop();
    await store.notify('chan', 'two');
    expect(heard).toEqual(['one']);
  });

  it('holds a lease for one at a time', async () => {
    const lease = await store.tryLease('vm-1');
    expect(await store.tryLease('vm-1')).toBeUndefined();
    expect(await withLease(store, 'vm-2', async (signal) => signal.aborted)).toEqual({ held: true, value: false });
    await lease?.release();
    const again = await store.tryLease('vm-1');
    // A late second release must not free the name under its new holder.
    await lease?.release();
    expect(await withLease(store, 'vm-1', async () => 1)).toEqual({ held: false });
    await again?.release();
  });
});

describe('changes', () => {
  it('run once, per owner, and a failed one leaves nothing', async () => {
    const first = [change('alpha-001-one', 'create table alpha (n int8)')];
    await runChanges(store, first);
    await runChanges(store, first);
    await runChanges(store, [change('beta-001-one', 'create table beta (n int8)')]);
    const broken = [
      ...first,
      change('alpha-002-two', 'create table alpha2 (n int8)'),
      change('alpha-003-bad', 'create nonsense'),
    ];
    await expect(runChanges(store, broken)).rejects.toMatchObject({
      code: 'CHANGES_FAILED',
      message: expect.stringContaining('alpha-003-bad'),
    });
    await expect(sql`select * from alpha2`.execute(store.db)).rejects.toThrow(/does not exist/);
  });

  it.each([
    [['alpha-1-x']],
    [['alpha-001-x', 'beta-002-x']],
    [['alpha-002-x', 'alpha-001-y']],
    [[]],
  ])('are refused out of order: %j', async (names) => {
    await expect(
      runChanges(
        store,
        names.map((name) => change(name, 'select 1')),
      ),
    ).rejects.toMatchObject({ code: 'CHANGES_INVALID' });
  });

  it('of a newer program that only add leave an older one serving', async () => {
    const older = [change('gamma-001-a', 'create table gamma (n int8)')];
    const newer = [...older, change('gamma-002-b', 'alter table gamma add column text text')];
    await runChanges(store, newer);
    await runChanges(store, older);
    await sql`insert into gamma (n) values (1)`.execute(store.db);
    expect((await sql`select name from changes_gamma order by name`.execute(store.db)).rows).toEqual(
      newer.map(({ name }) => ({ name })),
    );
    await runChanges(store, newer);
  });

  it('of a newer program that take something away stop an older one, which changes nothing', async () => {
    const older = [change('delta-001-a', 'create table delta (n int8)')];
    const newer = [
      ...older,
      change('delta-002-b', 'select 1'),
      change('delta-003-contract-n', 'alter table delta drop column n'),
    ];
    await runChanges(store, newer);
    const rest = [...older, change('delta-004-other', 'create table never (n int8)')];
    for (const changes of [older, rest])
      await expect(runChanges(store, changes)).rejects.toMatchObject({
        code: 'SCHEMA_NEWER',
        message: expect.stringContaining('delta-003-contract-n'),
      });
    await expect(sql`select * from never`.execute(store.db)).rejects.toThrow(/does not exist/);
    expect((await sql`select * from changes_delta`.execute(store.db)).rows).toHaveLength(3);
  });

  it('that stand between those of a newer program are refused', async () => {
    await runChanges(store, [change('epsilon-001-a', 'select 1'), change('epsilon-003-c', 'select 1')]);
    const other = [change('epsilon-001-a', 'select 1'), change('epsilon-002-b', 'select 1')];
    await expect(runChanges(store, other)).rejects.toMatchObject({ code: 'CHANGES_FAILED' });
  });
});

describe('lock file', () => {
  it.each(['', '4194304 1\n', `${process.pid} 1\n`, 'nonsense'])('is taken over from a dead owner: %j', (left) => {
    const path = join(dir, 'carnet.lock');
    writeFileSync(path, left);
    const unlock = lockDirectory(dir);
    expect(readFileSync(path, 'utf8')).toMatch(new RegExp(`^${process.pid} \\d+\n$`));
    expect(() => lockDirectory(dir)).toThrow(StoreError);
    unlock();
    expect(() => readFileSync(path)).toThrow(/ENOENT/);
  });
});
