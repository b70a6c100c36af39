import { randomFillSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, freePort, type Host, runAs, scratch } from '@carnet/dev';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Connection, Domain, MigrateOptions, Notices } from './index.ts';
import { isRemoteError, parameterValue } from './index.ts';
import { makeAuthority, makeIdentity } from './testing/certificates.ts';
import { reach, startQemuHost, tinyGuestXml } from './testing/qemu-host.ts';

/** Bytes that do not compress: at one MiB/s they keep a migration busy long enough to look at it. */
const MEMORY_FILL_BYTES = 10_485_760;

type Side = { readonly host: Host; readonly conn: Connection; readonly port: number; readonly pki: string };

const dir = scratch('lvmig');
const authority = makeAuthority(join(dir, 'pki'), 'test');
let source: Side;
let target: Side;

beforeAll(async () => {
  source = await startSide('source', 'carnet-a', '1');
  target = await startSide('target', 'carnet-b', '2');
});

afterAll(async () => {
  for (const side of [source, target]) {
    await side.conn.close();
    await side.host.stop();
  }
});

it('is watched, aborted, and then carried out over TLS from daemon to daemon', async () => {
  const left: Notices['lifecycle'][] = [];
  const arrived: Notices['lifecycle'][] = [];
  const iterations: number[] = [];
  await using subscriptions = new AsyncDisposableStack();
  subscriptions.use(await source.conn.events.subscribe('lifecycle', (notice) => left.push(notice)));
  subscriptions.use(await target.conn.events.subscribe('lifecycle', (notice) => arrived.push(notice)));
  subscriptions.use(await source.conn.events.subscribe('migration-iteration', (notice) => iterations.push(notice.iteration)));
  const domain = await source.conn.domains.create(await source.conn.domains.define(guestWithFullMemory()));

  const slow = migrate(domain, { bandwidthMibPerSecond: 1n });
  const settled = Promise.allSettled([slow]);
  await eventually('the job', async () => ((await source.conn.jobs.info(domain)).memory.processedBytes > 0n ? true : undefined));
  expect((await source.conn.jobs.stats(domain)).type).toBe('unbounded');
  await source.conn.migration.setMaxDowntime(domain, 500n);
  expect(source.host.virsh('migrate-getmaxdowntime', 'mover').trim()).toBe('500');
  await source.conn.migration.setMaxSpeed(domain, 2n);
  expect(source.host.virsh('migrate-getspeed', 'mover').trim()).toBe('2');
  await source.conn.jobs.abort(domain);
  const [outcome] = await settled;
  expect(outcome.status === 'rejected' && isRemoteError(outcome.reason, 'OPERATION_ABORTED')).toBe(true);
  expect((await source.conn.domains.state(domain)).state).toBe('running');
  expect(target.host.virsh('list', '--all', '--name').trim()).toBe('');

  await migrate(domain, {
    flags: ['live', 'persist-dest', 'undefine-source', 'tls', 'abort-on-error'],
    bandwidthMibPerSecond: 1_000n,
  });
  expect(source.host.virsh('list', '--all', '--name').trim()).toBe('');
  expect(target.host.virsh('domstate', 'mover').trim()).toBe('running');
  expect(await target.conn.domains.lookupByUuid(domain.uuid)).toMatchObject({ name: 'mover' });
  expect(left).toContainEqual(expect.objectContaining({ event: 'stopped', detail: 'migrated' }));
  expect(arrived).toContainEqual(expect.objectContaining({ event: 'resumed', detail: 'migrated' }));
  expect(iterations.length).toBeGreaterThan(0);
  const stats = await target.conn.jobs.stats(domain, { flags: ['completed'] });
  expect(parameterValue(stats.parameters, 'downtime')).toBeTypeOf('bigint');
  await target.conn.domains.destroy(domain);
});

it('fails when the target does not answer, and the guest stays', async () => {
  const domain = await source.conn.domains.createTransient(tinyGuestXml('stays'));
  const nowhere = `qemu+tls://127.0.0.1:${await freePort()}/session?pkipath=${source.pki}`;
  await expect(source.conn.migration.perform(domain, nowhere, { flags: ['live'] })).rejects.toMatchObject({ code: 'REMOTE' });
  expect((await source.conn.domains.state(domain)).state).toBe('running');
  await source.conn.domains.destroy(domain);
});

function migrate(domain: Domain, options: MigrateOptions): Promise<void> {
  const destination = `qemu+tls://127.0.0.1:${target.port}/session?pkipath=${source.pki}`;
  return source.conn.migration.perform(domain, destination, {
    flags: ['live', 'tls'],
    migrateUri: 'tcp://127.0.0.1',
    ...options,
  });
}

async function startSide(name: string, user: string, digit: '1' | '2'): Promise<Side> {
  const { dir: pki } = makeIdentity(authority, name, runAs(user));
  const [port, migrationPort] = [await freePort(), await freePort()];
  const host = await startQemuHost(name, {
    user,
    hostUuid: `0000000${digit}-aaaa-4bbb-8ccc-00000000000${digit}`,
    tls: {
      port,
      caFile: join(pki, 'cacert.pem'),
      certFile: join(pki, 'servercert.pem'),
      keyFile: join(pki, 'serverkey.pem'),
      allowedNames: ['source', 'target'].flatMap((cn) => [`O=test,CN=${cn}`, `CN=${cn},O=test`]),
    },
    qemuConfig: [
      `default_tls_x509_cert_dir = "${pki}"`,
      'default_tls_x509_verify = 1',
      `migration_port_min = ${migrationPort}`,
      `migration_port_max = ${migrationPort + 10}`,
    ],
  });
  return { host, conn: await reach(host), port, pki };
}

function guestWithFullMemory(): string {
  const file = join(dir, 'memory.bin');
  writeFileSync(file, randomFillSync(Buffer.alloc(MEMORY_FILL_BYTES)), { mode: 0o644 });
  const loader = `<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
    <qemu:arg value='-device'/><qemu:arg value='loader,file=${file},addr=0x200000,force-raw=on'/></qemu:commandline>`;
  return tinyGuestXml('mover').replace('</devices>', `</devices>${loader}`);
}
