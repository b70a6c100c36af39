import type { Host } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Connection, isRemoteError, type LifecycleEvent, type Notices } from './index.ts';
import { reach, startQemuHost, tinyGuestXml } from './testing/qemu-host.ts';

let host: Host;
let conn: Connection;

beforeAll(async () => {
  host = await startQemuHost('contract');
  conn = await reach(host);
});

afterAll(async () => {
  await conn.close();
  await host.stop();
});

describe('the host, as virsh sees it', () => {
  it('tells versions, name and URI', async () => {
    expect(host.virsh('version')).toContain(`libvirt ${version(conn.libVersion)}`);
    expect(host.virsh('version')).toContain(`QEMU ${version(await conn.host.hypervisorVersion())}`);
    expect(await conn.host.hostname()).toBe(host.virsh('hostname').trim());
    expect([await conn.host.driver(), await conn.host.uri()]).toEqual(['QEMU', 'qemu:///session']);
  });

  it('tells capabilities of host and emulator', async () => {
    expect((await conn.host.capabilities()).trim()).toBe(host.virsh('capabilities').trim());
    const xml = await conn.host.domainCapabilities({ virtType: 'qemu', arch: 'x86_64', machine: 'pc-q35-7.2' });
    const same = host.virsh('domcapabilities', '--virttype', 'qemu', '--arch', 'x86_64', '--machine', 'pc-q35-7.2');
    expect(xml.trim()).toBe(same.trim());
  });
});

describe('a domain', () => {
  it('is defined, found in every way, described and undefined', async () => {
    const defined = await conn.domains.define(tinyGuestXml('one'), { flags: ['validate'] });
    expect(defined).toMatchObject({ name: 'one', id: -1, uuid: host.virsh('domuuid', 'one').trim() });
    expect(await conn.domains.lookupByName('one')).toEqual(defined);
    expect(await conn.domains.lookupByUuid(defined.uuid)).toEqual(defined);
    expect((await conn.domains.xml(defined)).trim()).toBe(host.virsh('dumpxml', 'one').trim());
    expect(await conn.domains.list({ flags: ['inactive'] })).toEqual([defined]);
    expect(await conn.domains.list({ flags: ['active'] })).toEqual([]);
    expect(await conn.domains.isPersistent(defined)).toBe(true);
    await conn.domains.undefine(defined, { flags: ['nvram'] });
    expect(host.virsh('list', '--all', '--name').trim()).toBe('');
  });

  it('keeps its autostart', async () => {
    const domain = await conn.domains.define(tinyGuestXml('auto'));
    await conn.domains.setAutostart(domain, 'on');
    expect(await conn.domains.autostart(domain)).toBe('on');
    expect(host.virsh('dominfo', 'auto')).toMatch(/Autostart:\s+enable/);
    await conn.domains.setAutostart(domain, 'off');
    expect(await conn.domains.autostart(domain)).toBe('off');
    await conn.domains.undefine(domain);
  });

  it('runs through a life, and the notices tell it', async () => {
    const seen: Notices['lifecycle'][] = [];
    await using subscriptions = new AsyncDisposableStack();
    subscriptions.use(await conn.events.subscribe('lifecycle', (notice) => seen.push(notice)));
    const domain = await conn.domains.define(tinyGuestXml('life'));
    const running = await conn.domains.create(domain, { flags: ['paused'] });
    expect(running.id).toBe(Number(host.virsh('domid', 'life')));
    expect(await conn.domains.lookupById(running.id)).toEqual(running);
    expect(await conn.domains.state(domain)).toEqual({ state: 'paused', reason: 'user' });
    await conn.domains.resume(domain);
    expect(await conn.domains.state(domain)).toEqual({ state: 'running', reason: 'unpaused' });
    expect(host.virsh('domstate', 'life').trim()).toBe('running');
    await conn.domains.suspend(domain);
    expect(await conn.domains.info(domain)).toMatchObject({ state: 'paused', maxMemoryKib: 16_384n, vcpus: 1 });
    expect(await conn.domains.isActive(domain)).toBe(true);
    await conn.domains.destroy(domain, { flags: ['graceful'] });
    expect(await conn.domains.state(domain)).toEqual({ state: 'shutoff', reason: 'destroyed' });
    await conn.domains.undefine(domain);
    const life: readonly LifecycleEvent[] = ['defined', 'started', 'suspended', 'resumed', 'suspended', 'stopped', 'undefined'];
    // A notice comes by itself, before or after the reply to the call that caused it.
    await vi.waitFor(() => expect(seen.map(({ event }) => event).filter((event) => event !== 'shutdown')).toEqual(life));
    expect(seen.at(-1)?.domain).toEqual(domain);
  });

  it('tells a reboot, and only of the domain asked for', async () => {
    const [quiet, loud] = [
      await conn.domains.createTransient(tinyGuestXml('q')),
      await conn.domains.createTransient(tinyGuestXml('l')),
    ];
    const seen: string[] = [];
    await using subscriptions = new AsyncDisposableStack();
    subscriptions.use(await conn.events.subscribe('reboot', ({ domain }) => seen.push(domain.name), { domain: loud }));
    for (const domain of [quiet, loud]) await conn.monitor.command(domain, '{"execute":"system_reset"}');
    for (const domain of [quiet, loud]) await conn.domains.destroy(domain);
    // A machine without a system to boot resets itself again and again.
    expect(new Set(seen)).toEqual(new Set(['l']));
    await expect(conn.domains.lookupByUuid(quiet.uuid)).rejects.toSatisfy((error) => isRemoteError(error, 'NO_DOMAIN'));
  });

  it('answers an error with its code, domain, level and message', async () => {
    const [VIR_ERR_NO_DOMAIN, VIR_FROM_QEMU] = [42, 10];
    await expect(conn.domains.lookupByName('nobody')).rejects.toMatchObject({
      code: 'REMOTE',
      effect: 'none',
      remote: { code: VIR_ERR_NO_DOMAIN, domain: VIR_FROM_QEMU, level: 'error', message: expect.stringContaining('nobody') },
    });
    await expect(conn.domains.define('<domain')).rejects.toSatisfy((error) => isRemoteError(error, 'XML_DETAIL'));
    await expect(conn.domains.lookupByName('cut\0here')).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
    // The connection is none the worse.
    expect(await conn.domains.list()).toEqual([]);
  });
});

describe('a secret', () => {
  const uuid = '11111111-1111-4111-8111-111111111111';
  const xml = (isPrivate: 'yes' | 'no'): string =>
    `<secret ephemeral='yes' private='${isPrivate}'><uuid>${uuid}</uuid><usage type='vtpm'><name>of-vm1</name></usage></secret>`;

  it('keeps every byte of its value, and virsh reads the same', async () => {
    const secret = await conn.secrets.define(xml('no'));
    expect(secret).toEqual({ uuid, usageType: 'vtpm', usageId: 'of-vm1' });
    for (const value of [everyByte(), new Uint8Array(1), new Uint8Array(65_536).fill(0xff)]) {
      await conn.secrets.setValue(secret, value);
      expect(await conn.secrets.value(secret)).toEqual(value);
    }
    await conn.secrets.setValue(secret, everyByte());
    expect(host.virsh('secret-get-value', uuid).trim()).toBe(Buffer.from(everyByte()).toString('base64'));
    await expect(conn.secrets.setValue(secret, new Uint8Array(65_537))).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
    await conn.secrets.undefine(secret);
  });

  it('is found by uuid and usage, listed, told of, and gone', async () => {
    const told: string[] = [];
    await using subscriptions = new AsyncDisposableStack();
    subscriptions.use(await conn.events.subscribe('secret-lifecycle', ({ event }) => told.push(event)));
    subscriptions.use(await conn.events.subscribe('secret-value-changed', ({ secret }) => told.push(secret.usageId)));
    const secret = await conn.secrets.define(xml('yes'));
    await conn.secrets.setValue(secret, everyByte());
    expect(await conn.secrets.lookupByUuid(uuid)).toEqual(secret);
    expect(await conn.secrets.lookupByUsage('vtpm', 'of-vm1')).toEqual(secret);
    expect(await conn.secrets.list()).toEqual([secret]);
    expect(await conn.secrets.list({ flags: ['not-private'] })).toEqual([]);
    expect((await conn.secrets.xml(secret)).trim()).toBe(host.virsh('secret-dumpxml', uuid).trim());
    await expect(conn.secrets.value(secret)).rejects.toSatisfy((error) => isRemoteError(error, 'INVALID_SECRET'));
    await conn.secrets.undefine(secret);
    await expect(conn.secrets.lookupByUuid(uuid)).rejects.toSatisfy((error) => isRemoteError(error, 'NO_SECRET'));
    expect(told).toEqual(['defined', 'of-vm1', 'undefined']);
  });
});

it('speaks to the test driver through the same daemon', async () => {
  await using test = await reach(host, { uri: 'test:///default' });
  const domain = await test.domains.lookupByName('test');
  expect(await test.host.driver()).toBe('TEST');
  await test.domains.suspend(domain);
  expect(await test.domains.state(domain)).toEqual({ state: 'paused', reason: 'user' });
  await test.domains.resume(domain);
  await test.domains.reboot(domain);
  await test.domains.shutdown(domain);
  expect(await test.domains.state(domain)).toEqual({ state: 'shutoff', reason: 'shutdown' });
});

it('a read-only connection changes nothing', async () => {
  await using readOnly = await reach(host, { access: 'read-only' });
  await expect(readOnly.domains.define(tinyGuestXml('no'))).rejects.toSatisfy((error) =>
    isRemoteError(error, 'OPERATION_DENIED'),
  );
});

function everyByte(): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, index) => index);
}

function version(encoded: bigint): string {
  return [encoded / 1_000_000n, (encoded / 1000n) % 1000n, encoded % 1000n].join('.');
}
