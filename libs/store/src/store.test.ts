import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Change, isRetryable, openStore, runChanges, type Store, StoreError, withLease } from './index.ts';
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

  it('of a newer program stop an older one', async () => {
    await runChanges(store, [change('gamma-001-a', 'select 1'), change('gamma-002-b', 'select 1')]);
    await expect(runChanges(store, [change('gamma-001-a', 'select 1')])).rejects.toMatchObject({ code: 'CHANGES_FAILED' });
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

describe('isRetryable', () => {
  it.each([['08006'], ['40001'], ['57P01'], ['57P03'], ['ECONNREFUSED']])('%s is', (code) => {
    expect(isRetryable(Object.assign(new Error('x'), { code }))).toBe(true);
    expect(isRetryable(new Error('outer', { cause: Object.assign(new Error('x'), { code }) }))).toBe(true);
  });
  it.each([['23505'], ['42601'], ['57014'], [undefined]])('%s is not', (code) => {
    expect(isRetryable(Object.assign(new Error('x'), { code }))).toBe(false);
  });
});
