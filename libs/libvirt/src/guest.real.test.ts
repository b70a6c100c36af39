import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, type Host, runOnce, systemTool } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Connection, type Domain, isRemoteError, type Notices, parameterValue } from './index.ts';
import { reach, startQemuHost, tinyGuestXml } from './testing/qemu-host.ts';

let host: Host;
let conn: Connection;

beforeAll(async () => {
  host = await startQemuHost('guest');
  conn = await reach(host);
});

afterAll(async () => {
  await conn.close();
  await host.stop();
});

describe('save and restore', () => {
  it('carries the guest through a file, with another definition on the way', async () => {
    const completed: Notices['job-completed'][] = [];
    await using subscriptions = new AsyncDisposableStack();
    subscriptions.use(await conn.events.subscribe('job-completed', (notice) => completed.push(notice)));
    const file = join(host.dirs.data, 'memory.save');
    const domain = await conn.domains.create(await conn.domains.define(tinyGuestXml('saved')));
    const titled = (await conn.domains.xml(domain, { flags: ['migratable'] })).replace('</name>', '</name><title>moved</title>');

    await conn.domains.save(domain, file, { xml: titled, flags: ['paused'] });
    expect(existsSync(file)).toBe(true);
    expect(await conn.domains.state(domain)).toEqual({ state: 'shutoff', reason: 'saved' });
    expect(await conn.domains.saveImageXml(file)).toContain('<title>moved</title>');
    expect((await conn.domains.saveImageXml(file)).trim()).toBe(host.virsh('save-image-dumpxml', file).trim());

    await conn.domains.restore(file);
    expect((await conn.domains.state(domain)).state).toBe('paused');
    expect(await conn.domains.xml(domain)).toContain('<title>moved</title>');
    await conn.domains.destroy(domain);
    await conn.domains.restore(file, { flags: ['running'] });
    expect(await conn.domains.state(domain)).toMatchObject({ state: 'running' });
    await end(domain);

    expect(completed).toHaveLength(1);
    expect(completed[0]?.domain.name).toBe('saved');
    expect(parameterValue(completed[0]?.statistics ?? [], 'memory_total')).toBeTypeOf('bigint');
  });

  it('fails with an error and leaves the guest running when the file cannot be written', async () => {
    const domain = await conn.domains.createTransient(tinyGuestXml('unsaved'));
    await expect(conn.domains.save(domain, '/no/such/place')).rejects.toMatchObject({ code: 'REMOTE' });
    expect((await conn.domains.state(domain)).state).toBe('running');
    await conn.domains.destroy(domain);
  });
});

describe('the monitor', () => {
  it('speaks QMP and the human kind', async () => {
    const domain = await conn.domains.createTransient(tinyGuestXml('monitored'));
    const answer: unknown = JSON.parse(await conn.monitor.command(domain, '{"execute":"query-status"}'));
    expect(answer).toMatchObject({ return: { status: 'running', running: true } });
    const refused: unknown = JSON.parse(await conn.monitor.command(domain, '{"execute":"no-such-command"}'));
    expect(refused).toMatchObject({ error: { class: 'CommandNotFound' } });
    expect(await conn.monitor.command(domain, 'info status', { flags: ['hmp'] })).toContain('VM status: running');
    await conn.domains.destroy(domain);
  });
});

describe('a backup, its job and its checkpoint', () => {
  it('is begun, watched, aborted; the checkpoint stays until deleted', async () => {
    const domain = await guestWithDisk('backed');
    expect(await conn.jobs.info(domain)).toMatchObject({ type: 'none' });
    expect(await conn.jobs.stats(domain)).toMatchObject({ type: 'none' });
    const completed: Domain[] = [];
    await using subscriptions = new AsyncDisposableStack();
    subscriptions.use(
      await conn.events.subscribe('job-completed', (notice) => completed.push(notice.domain), {
        domain,
      }),
    );

    const socket = join(host.dirs.run, 'backup.sock');
    const backupXml = `<domainbackup mode='pull'><server transport='unix' socket='${socket}'/></domainbackup>`;
    await conn.backups.begin(domain, backupXml, { checkpointXml: '<domaincheckpoint><name>c1</name></domaincheckpoint>' });
    expect(await conn.backups.xml(domain)).toContain(socket);
    expect((await conn.backups.xml(domain)).trim()).toBe(host.virsh('backup-dumpxml', 'backed').trim());
    expect(await conn.jobs.info(domain)).toMatchObject({ type: 'unbounded' });
    const stats = await conn.jobs.stats(domain);
    const VIR_DOMAIN_JOB_OPERATION_BACKUP = 9;
    expect(parameterValue(stats.parameters, 'operation')).toBe(VIR_DOMAIN_JOB_OPERATION_BACKUP);
    expect(host.virsh('domjobinfo', 'backed')).toMatch(/Operation:\s+Backup/);

    await conn.jobs.abort(domain);
    await eventually('the end of the job', async () => ((await conn.jobs.info(domain)).type === 'none' ? true : undefined));
    await eventually('the notice of it', () => completed[0]);
    // A pull backup serves until told to stop: for libvirt that is how it completes.
    expect((await conn.jobs.stats(domain, { flags: ['completed'] })).type).toBe('completed');
    await expect(conn.backups.xml(domain)).rejects.toSatisfy((error) => isRemoteError(error, 'NO_DOMAIN_BACKUP'));

    const [checkpoint] = await conn.checkpoints.list(domain);
    expect(checkpoint).toMatchObject({ name: 'c1', domain: { name: 'backed' } });
    if (checkpoint) await conn.checkpoints.delete(checkpoint);
    await end(domain);
  });

  it('makes checkpoints of its own, finds and lists them', async () => {
    const domain = await guestWithDisk('checked');
    const made = await conn.checkpoints.create(domain, '<domaincheckpoint><name>here</name></domaincheckpoint>');
    expect(await conn.checkpoints.lookupByName(domain, 'here')).toEqual(made);
    expect(host.virsh('checkpoint-list', 'checked', '--name').trim()).toBe('here');
    expect((await conn.checkpoints.xml(made)).trim()).toBe(host.virsh('checkpoint-dumpxml', 'checked', 'here').trim());
    await conn.checkpoints.delete(made);
    expect(await conn.checkpoints.list(domain)).toEqual([]);
    await expect(conn.checkpoints.lookupByName(domain, 'here')).rejects.toSatisfy((error) =>
      isRemoteError(error, 'NO_DOMAIN_CHECKPOINT'),
    );
    await end(domain);
  });

  it('aborting nothing is an error', async () => {
    const domain = await conn.domains.createTransient(tinyGuestXml('idle'));
    await expect(conn.jobs.abort(domain)).rejects.toSatisfy((error) => isRemoteError(error, 'OPERATION_INVALID'));
    await conn.domains.destroy(domain);
  });
});

async function guestWithDisk(name: string): Promise<Domain> {
  const disk = join(host.dirs.disks, `${name}.qcow2`);
  runOnce(host.as, [systemTool('qemu-img'), 'create', '-q', '-f', 'qcow2', disk, '8M'], { PATH: process.env['PATH'] ?? '' });
  const xml = `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${disk}'/><target dev='vda' bus='virtio'/></disk>`;
  return conn.domains.create(await conn.domains.define(tinyGuestXml(name, xml)));
}

async function end(domain: Domain): Promise<void> {
  await conn.domains.destroy(domain);
  await conn.domains.undefine(domain, { flags: ['checkpoints-metadata'] });
}
