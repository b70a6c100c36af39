import { once } from 'node:events';
import { appendFileSync, mkdirSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createDatabase, eventually, freePort, type Postgres, scratch, startPostgres } from '@carnet/dev';
import { sql } from 'kysely';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isRetryable, openStore, runChanges, type Store } from './index.ts';
import { LISTEN_ANSWER_MS_MAX } from './limits.ts';
import { listenOn } from './listening.ts';

const log = { info: () => undefined, warn: () => undefined };
let postgres: Postgres;
let url: string;
let one: Store;
let other: Store;

const open = (): Promise<Store> => openStore({ url, log, applicationName: 'carnet-test' });

beforeAll(async () => {
  postgres = await startPostgres({ dir: join(scratch('store'), 'pg') });
  url = await createDatabase(postgres.url, 'store');
  [one, other] = [await open(), await open()];
});

afterAll(async () => {
  await one.close();
  await other.close();
  await postgres.stop();
});

/** Ends every connection of the database but the asker's own, as a failover would. */
const cutConnections = async (): Promise<void> => {
  const client = new Client({ connectionString: postgres.url });
  await client.connect();
  await client.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'store'");
  await client.end();
};

describe('PostgreSQL store', () => {
  it('says STORE_UNREACHABLE where nothing answers', async () => {
    const nowhere = openStore({ url: 'postgresql://carnet@/x?host=/nonexistent', log, applicationName: 'test' });
    const cause = await nowhere.catch((thrown: unknown) => thrown);
    expect(cause).toMatchObject({ code: 'STORE_UNREACHABLE' });
    expect(isRetryable(cause)).toBe(true);
  });

  it('gives 64-bit integers as numbers and names itself', async () => {
    const { rows } = await sql`select 9007199254740991::int8 as n, current_setting('application_name') as name`.execute(one.db);
    expect(rows).toEqual([{ n: 9007199254740991, name: 'carnet-test' }]);
  });

  it('two replicas starting at once run each change once', async () => {
    const changes = [1, 2, 3].map((n) => ({
      name: `race-00${n}-x`,
      up: async (db: Store['db']) => void (await sql.raw(`create table race${n} (n int8)`).execute(db)),
    }));
    await Promise.all([runChanges(one, changes), runChanges(other, changes)]);
    expect((await sql`select * from changes_race`.execute(one.db)).rows).toHaveLength(3);
  });

  it('an older replica that starts beside a newer one finds its tables, whoever is first', async () => {
    const add = (n: number) => ({
      name: `rolling-00${n}-x`,
      up: async (db: Store['db']) => void (await sql.raw(`create table rolling${n} (n int8)`).execute(db)),
    });
    const [older, newer] = [[add(1)], [add(1), add(2), add(3)]];
    await runChanges(one, older);
    await Promise.all([runChanges(one, older), runChanges(other, newer), runChanges(one, older)]);
    await runChanges(one, older);
    expect((await sql`select * from changes_rolling`.execute(one.db)).rows).toHaveLength(3);
  });

  it('leases exclude other processes and the same one', async () => {
    const lease = await one.tryLease('vm');
    expect(lease).toBeDefined();
    expect(await one.tryLease('vm')).toBeUndefined();
    expect(await other.tryLease('vm')).toBeUndefined();
    await lease?.release();
    const next = await other.tryLease('vm');
    expect(next).toBeDefined();
    await next?.release();
  });

  it('twenty racers: one wins', async () => {
    const taken = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? one : other).tryLease('race')));
    const winners = taken.filter((lease) => lease !== undefined);
    expect(winners).toHaveLength(1);
    await winners[0]?.release();
  });

  it('a lost connection loses its leases, and everything reconnects', async () => {
    const heard: string[] = [];
    const stop = await one.listen('chan', (payload) => heard.push(payload));
    const lease = await one.tryLease('vm');
    await cutConnections();
    await expect.poll(() => lease?.signal.aborted).toBe(true);
    await lease?.release();
    const successor = await other.tryLease('vm');
    expect(successor).toBeDefined();
    await successor?.release();
    // The empty notice says: something may have been missed.
    await expect.poll(() => heard, { timeout: 5_000 }).toContain('');
    await other.notify('chan', 'after');
    await expect.poll(() => heard).toContain('after');
    await stop();
    const back = await one.tryLease('vm');
    expect(back).toBeDefined();
    await back?.release();
  });

  it('listens again where a new connection takes what is said and answers nothing', async () => {
    const [, socket = ''] = url.split('host=');
    const dir = join(scratch('store'), 'path');
    mkdirSync(dir, { recursive: true });
    const opened: Socket[] = [];
    const path = createServer((client) => {
      const server = createConnection(join(socket, '.s.PGSQL.5432'));
      const isDead = opened.push(client) === 2;
      server.pipe(client).on('error', () => server.destroy());
      client.on('data', (said) => (isDead && said.includes('listen ') ? server.unpipe(client) : server.write(said)));
      for (const [end, otherEnd] of [[client, server] as const, [server, client] as const])
        end.on('close', () => otherEnd.destroy()).on('error', () => otherEnd.destroy());
    });
    await once(path.listen(join(dir, '.s.PGSQL.5432')), 'listening');
    try {
      const heard: string[] = [];
      const stop = await listenOn({ connectionString: url.replace(socket, dir) }, log, 'path', (said) => heard.push(said));
      opened[0]?.destroy();
      await expect.poll(() => heard, { timeout: 2 * LISTEN_ANSWER_MS_MAX }).toEqual(['']);
      await one.notify('path', 'after');
      await expect.poll(() => heard).toEqual(['', 'after']);
      expect(opened).toHaveLength(3);
      await stop();
    } finally {
      path.close();
    }
  });

  it('says nothing more over a connection that did not answer: what it began may never end', async () => {
    await sql`create table said (n int8)`.execute(one.db);
    // The pool gives out what it had back last.
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(one.db);
    const pid = rows[0]?.pid ?? 0;
    process.kill(pid, 'SIGSTOP');
    try {
      const begun = one.db.transaction().execute((tx) => sql`insert into said values (1)`.execute(tx));
      expect(isRetryable(await begun.catch((cause: unknown) => cause))).toBe(true);
      await sql`insert into said values (2)`.execute(one.db);
      expect((await sql`select n from said`.execute(other.db)).rows).toEqual([{ n: 2 }]);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });

  it('a connection that does not answer loses its leases as well, and the next one is taken over another', async () => {
    const lease = await one.tryLease('silent');
    const { rows } = await sql<{ pid: number }>`select pid from pg_locks where locktype = 'advisory' and granted`.execute(
      other.db,
    );
    const pids = rows.map(({ pid }) => pid);
    expect(pids).toHaveLength(1);
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    try {
      const cause = await one.tryLease('next').catch((thrown: unknown) => thrown);
      expect(isRetryable(cause)).toBe(true);
      expect(lease?.signal.aborted).toBe(true);
      const next = await one.tryLease('next');
      expect(next).toBeDefined();
      await next?.release();
    } finally {
      for (const pid of pids) process.kill(pid, 'SIGCONT');
    }
    await lease?.release();
    // The server's end of it: its client is gone.
    const successor = await eventually('the lease of a client that is gone', () => other.tryLease('silent'));
    await successor.release();
  });
});

it('asks the server to give up within seconds what a machine holds that has lost its power', async () => {
  const dir = join(scratch('store'), 'tcp');
  const server = await startPostgres({ dir });
  try {
    const port = await freePort();
    const client = new Client({ connectionString: server.url });
    await client.connect();
    await client.query(`alter system set listen_addresses = '127.0.0.1'`);
    await client.query(`alter system set port = ${port}`);
    await client.end();
    appendFileSync(join(dir, 'data', 'pg_hba.conf'), 'host all all 127.0.0.1/32 trust\n');
    await server.restart();
    const store = await openStore({ url: `postgresql://carnet@127.0.0.1:${port}/postgres`, log, applicationName: 'carnet-test' });
    const { rows } = await sql<{ name: string; setting: string }>`
      select name, setting from pg_settings where name like 'tcp_%' order by name`.execute(store.db);
    await store.close();
    expect(rows.map(({ name, setting }) => `${name} ${setting}`)).toEqual([
      'tcp_keepalives_count 2',
      'tcp_keepalives_idle 10',
      'tcp_keepalives_interval 5',
      'tcp_user_timeout 20000',
    ]);
  } finally {
    await server.stop();
  }
});
