import { statSync } from 'node:fs';
import { join } from 'node:path';
import { connect as connectNats } from 'nats';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  buildGuest,
  createDatabase,
  DevError,
  eventually,
  findLeftovers,
  guestDomainXml,
  type Host,
  lastTick,
  type Nats,
  type Postgres,
  privateFile,
  runAs,
  runOnce,
  scratch,
  startHost,
  startNats,
  startPostgres,
  systemTool,
  type Tick,
  tickFoundOnDisk,
} from './index.ts';
import { daemonEnv } from './tools.ts';

let dir: string;

beforeAll(() => {
  dir = scratch('real');
});

afterAll(() => {
  // Only what this file stopped itself may be gone: files stay until the process ends.
  expect(findLeftovers({ dir }).filter(({ kind }) => kind !== 'file')).toEqual([]);
});

describe('PostgreSQL', () => {
  let postgres: Postgres;

  beforeAll(async () => {
    postgres = await startPostgres({ dir: join(dir, 'pg') });
  });
  afterAll(() => postgres.stop());

  async function ask(url: string, sql: string): Promise<unknown> {
    const client = new Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query({ text: sql, rowMode: 'array' })).rows;
    } finally {
      await client.end();
    }
  }

  test('answers on its socket, has no TCP port, and syncs', async () => {
    expect(await ask(postgres.url, "select current_setting('listen_addresses'), current_setting('fsync')")).toEqual([['', 'on']]);
  });

  test('gives each test a database of its own', async () => {
    const first = await createDatabase(postgres.url, 'first');
    const second = await createDatabase(postgres.url, 'second');
    await ask(first, 'create table t (n int)');
    await expect(ask(second, 'select * from t')).rejects.toThrow('does not exist');
    await expect(createDatabase(postgres.url, 'x"; drop database first')).rejects.toMatchObject({ code: 'NAME_INVALID' });
  });

  test('keeps what it committed through kill -9', async () => {
    const url = await createDatabase(postgres.url, 'durable');
    await ask(url, 'create table t as select 7 as n');
    const before = postgres.pid;
    await postgres.kill('SIGKILL');
    await expect(ask(url, 'select n from t')).rejects.toThrow();
    await postgres.restart();
    expect(postgres.pid).not.toBe(before);
    expect(await ask(url, 'select n from t')).toEqual([[7]]);
  });

  test('is closed to the other cloud, which has its own Unix user when root set it up', () => {
    const other = runAs('carnet-b');
    const look = (): string => runOnce(other, ['ls', join(dir, 'pg')], daemonEnv);
    if (other.identity.switched) expect(look).toThrow('Permission denied');
    else expect(statSync(join(dir, 'pg')).mode & 0o777).toBe(0o700);
  });
});

describe('nats-server', () => {
  const configText = 'listen: "127.0.0.1:{{port}}"\njetstream { store_dir: "{{dir}}/jetstream" }\n';
  let nats: Nats;

  beforeAll(async () => {
    nats = await startNats({ dir: join(dir, 'nats'), configText });
  });
  afterAll(() => nats.stop());

  test('serves on its port, also after kill -9 and restart', async () => {
    await nats.kill();
    await expect(connectNats({ servers: nats.url, reconnect: false })).rejects.toThrow();
    await nats.restart();
    const connection = await connectNats({ servers: nats.url });
    expect(connection.info?.jetstream).toBe(true);
    await connection.close();
  });

  test('takes a changed configuration on reload and refuses a broken one', async () => {
    await nats.reload(`${configText}max_payload: 4096\n`);
    const connection = await connectNats({ servers: nats.url });
    expect(connection.info?.max_payload).toBe(4096);
    await connection.close();
    await expect(nats.reload('listen {')).rejects.toMatchObject({ code: 'RELOAD_REFUSED' });
    await nats.reload(configText);
  });

  test('is seen by who looks for leftovers: by port, by directory and, where it has one, by user', () => {
    const port = { kind: 'port', what: String(nats.port) };
    expect(findLeftovers({ ports: [nats.port] })).toEqual([port]);
    const process = expect.objectContaining({ kind: 'process', what: expect.stringContaining(`${nats.pid} `) });
    expect(findLeftovers({ dir: join(dir, 'nats') })).toContainEqual(process);
    const ofUser = findLeftovers({ user: 'carnet-a' });
    const expected = runAs('carnet-a').identity.switched ? [port, process] : [];
    expect(ofUser).toEqual(expect.arrayContaining(expected));
  });

  test('a server that cannot start says why', async () => {
    const failing = startNats({ dir: join(dir, 'broken'), configText: 'no_such_option: 1\n' });
    await expect(failing).rejects.toThrow(/NOT_READY.*no_such_option/s);
    await expect(failing).rejects.toBeInstanceOf(DevError);
  });
});

describe('a libvirt host', () => {
  let host: Host;

  beforeAll(async () => {
    host = await startHost({ dir: join(dir, 'host'), name: 'a', hostUuid: '0000000a-aaaa-4bbb-8ccc-00000000000a' });
  });
  afterAll(() => host.stop());

  test('runs as its unprivileged user in a directory of its own', () => {
    expect(statSync(host.dirs.root).uid).toBe(host.as.identity.uid);
    expect(statSync(host.dirs.root).mode & 0o777).toBe(0o700);
    expect(host.virsh('capabilities')).toContain('0000000a-aaaa-4bbb-8ccc-00000000000a');
  });

  test('refuses a directory in which a guest could not be started', async () => {
    const deep = startHost({
      dir: join(dir, 'much-too-deep-a-folder'),
      name: 'deep',
      hostUuid: '0000000d-aaaa-4bbb-8ccc-00000000000d',
    });
    await expect(deep).rejects.toMatchObject({ code: 'PATH_TOO_LONG' });
  });

  test('boots the guest, which survives the death of libvirtd and a restore, knows its disk, and is gone after stop', async () => {
    const guest = buildGuest({ dir: join(dir, 'guest') });
    const disk = join(host.dirs.disks, 'disk.qcow2');
    const console = join(host.dirs.consoles, 'vm.log');
    const xml = join(host.dirs.root, 'vm.xml');
    runOnce(host.as, [systemTool('qemu-img'), 'create', '-q', '-f', 'qcow2', disk, '16M'], daemonEnv);
    privateFile(xml, guestDomainXml({ name: 'vm', uuid: '33333333-3333-4333-8333-333333333333', guest, disk, console }), host.as);

    host.virsh('create', xml);
    const first = await eventually('a first tick', () => lastTick(console));
    expect(tickFoundOnDisk(console)).toBeUndefined();

    await host.kill('SIGKILL');
    const later = await eventually('a tick without libvirtd', () => tickAfter(console, first));
    expect(later.boot).toBe(first.boot);
    await host.restart();
    expect(host.virsh('list', '--name').trim()).toBe('vm');
    expect(findLeftovers({ dir: host.dirs.root }).some(({ kind, what }) => kind === 'domain' && what.startsWith('vm '))).toBe(
      true,
    );

    const saved = join(host.dirs.data, 'vm.save');
    host.virsh('save', 'vm', saved);
    const stopped = await eventually('the last tick', () => lastTick(console));
    host.virsh('restore', saved);
    const resumed = await eventually('a tick after the restore', () => tickAfter(console, stopped));
    expect(resumed.boot).toBe(first.boot);

    host.virsh('reset', 'vm');
    const second = await eventually('a tick of another boot', () => tickOfOtherBoot(console, first.boot));
    expect(second.n).toBeLessThan(resumed.n);
    expect(tickFoundOnDisk(console)?.boot).toBe(first.boot);

    await host.stop();
    expect(findLeftovers({ dir: host.dirs.root }).filter(({ kind }) => kind !== 'file')).toEqual([]);
  });
});

function tickAfter(console: string, earlier: Tick): Tick | undefined {
  const tick = lastTick(console);
  return tick !== undefined && tick.n > earlier.n ? tick : undefined;
}

function tickOfOtherBoot(console: string, boot: string): Tick | undefined {
  const tick = lastTick(console);
  return tick !== undefined && tick.boot !== boot ? tick : undefined;
}
