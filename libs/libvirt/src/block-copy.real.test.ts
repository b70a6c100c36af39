import { join } from 'node:path';
import {
  buildGuest,
  DevError,
  daemonEnv,
  eventually,
  guestDomainXml,
  type Host,
  lastTick,
  runOnce,
  scratch,
  systemTool,
} from '@carnet/dev';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Connection, type Domain, isRemoteError, type Notices } from './index.ts';
import { reach, startQemuHost } from './testing/qemu-host.ts';

/** Volume keys are used as passphrases in hex; what they are is nothing to this test. */
const OLD = { uuid: '11111111-1111-4111-8111-111111111111', passphrase: 'a1'.repeat(32) };
const NEW = { uuid: '22222222-2222-4222-8222-222222222222', passphrase: 'b2'.repeat(32) };

let host: Host;
let conn: Connection;

beforeEach(async () => {
  host = await startQemuHost('blockcopy');
  conn = await reach(host);
});

afterEach(async () => {
  await conn.close();
  await host.stop();
});

it('a running guest moves to a LUKS volume with another key, and goes on counting', async () => {
  const [oldFile, newFile] = [await volume('old', OLD), await volume('new', NEW)];
  const { domain, console } = await startedGuest(oldFile);
  const statuses: string[] = [];
  await using subscriptions = new AsyncDisposableStack();
  const note = ({ disk, type, status }: Notices['block-job']): number => statuses.push(`${disk} ${type} ${status}`);
  subscriptions.use(await conn.events.subscribe('block-job', note, { domain }));
  const before = await eventually('the first tick', () => lastTick(console));

  // A definition that a restart would use: QEMU cannot go on with the job then, and libvirt wants that said.
  await expect(conn.blockJobs.copy(domain, 'vda', diskXml(newFile), { flags: ['reuse-external'] })).rejects.toSatisfy((error) =>
    isRemoteError(error, 'OPERATION_INVALID'),
  );
  expect(await conn.blockJobs.info(domain, 'vda')).toBeUndefined();

  // Begun and given up: the guest stays on its volume.
  await copyTo(domain, newFile);
  await conn.blockJobs.abort(domain, 'vda');
  expect(await conn.blockJobs.info(domain, 'vda')).toBeUndefined();
  expect(await sourceOf(domain)).toBe(oldFile);

  await eventually('the notice of the end', () => statuses.find((status) => status === 'vda copy canceled'));
  statuses.length = 0;
  await copyTo(domain, newFile);
  await eventually('ready', () => statuses.find((status) => status === 'vda copy ready'));
  expect(await conn.blockJobs.info(domain, 'vda')).toMatchObject({ type: 'copy' });
  expect(host.virsh('blockjob', domain.name, 'vda')).toContain('Bandwidth limit: 1073741824 bytes/s');
  await conn.blockJobs.abort(domain, 'vda', { flags: ['pivot'] });
  await eventually('completed', () => statuses.find((status) => status === 'vda copy completed'));

  expect(await sourceOf(domain)).toBe(newFile);
  expect(await conn.domains.xml(domain)).toContain(NEW.uuid);
  // libvirt 9.0 carries a pivot into the stored definition as well: the next boot uses the new volume.
  const stored = host.virsh('dumpxml', '--inactive', domain.name);
  expect([stored.includes(newFile), stored.includes(NEW.uuid), stored.includes(oldFile)]).toEqual([true, true, false]);
  const at = lastTick(console);
  const after = await eventually('ticks on the new volume', () => {
    const tick = lastTick(console);
    return tick !== undefined && at !== undefined && tick.n > at.n + 5 ? tick : undefined;
  });
  expect(after.boot).toBe(before.boot);

  await conn.domains.destroy(domain);
  // qemu-io prints a dot for what is neither letter nor digit.
  const found = `TICK.boot.${before.boot.replaceAll('-', '.')}.n.`;
  const [, count] = /\.n\.(\d+)\./.exec(firstSector(newFile, NEW) ?? '') ?? [];
  expect(Number(count)).toBeGreaterThan(at?.n ?? Number.NaN);
  expect(firstSector(newFile, NEW)).toContain(found);
  expect(firstSector(newFile, OLD)).toBeUndefined();
  expect(firstSector(oldFile, NEW)).toBeUndefined();
  expect(firstSector(oldFile, OLD)).toContain(found);
});

const copyTo = (domain: Domain, file: string): Promise<void> =>
  conn.blockJobs.copy(domain, 'vda', diskXml(file), {
    flags: ['reuse-external', 'transient-job', 'synchronous-writes'],
    bandwidthBytesPerSecond: 1_073_741_824n,
  });

function diskXml(file: string): string {
  return `<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none' discard='unmap'/>
    <source file='${file}'><encryption format='luks'><secret type='passphrase' uuid='${NEW.uuid}'/></encryption></source>
    <target dev='vda' bus='virtio'/></disk>`;
}

async function volume(name: string, { uuid, passphrase }: typeof OLD): Promise<string> {
  const file = join(host.dirs.disks, `${name}.qcow2`);
  const luks = 'encrypt.format=luks,encrypt.key-secret=k,encrypt.iter-time=10';
  // QEMU measures the derivation by its processor time, and now and then reads none.
  await eventually('a volume', () => {
    try {
      return qemu('qemu-img', 'create', '-q', ...keyObject(passphrase), '-f', 'qcow2', '-o', luks, file, '16M');
    } catch (error) {
      if (error instanceof DevError && error.message.includes('Unable to get accurate CPU usage')) return undefined;
      throw error;
    }
  });
  const usage = `<usage type='volume'><volume>${file}</volume></usage>`;
  const secret = await conn.secrets.define(`<secret ephemeral='yes' private='yes'><uuid>${uuid}</uuid>${usage}</secret>`);
  await conn.secrets.setValue(secret, Buffer.from(passphrase));
  return file;
}

async function startedGuest(disk: string): Promise<{ readonly domain: Domain; readonly console: string }> {
  const [name, uuid] = ['counting', '33333333-3333-4333-8333-333333333333'];
  const console = join(host.dirs.data, 'console');
  const guest = buildGuest({ dir: join(scratch('lvguest'), 'g') });
  const xml = guestDomainXml({ name, uuid, guest, disk, diskSecret: OLD.uuid, console });
  return { domain: await conn.domains.create(await conn.domains.define(xml)), console };
}

/** What the running guest's disk is. */
async function sourceOf(domain: Domain): Promise<string | undefined> {
  return /<source file='([^']+)'/.exec(await conn.domains.xml(domain))?.[1];
}

/** The text of the first sector, by QEMU's own tool; undefined when the passphrase does not open the volume. */
function firstSector(file: string, { passphrase }: typeof OLD): string | undefined {
  const image = `driver=qcow2,file.driver=file,file.filename=${file},encrypt.format=luks,encrypt.key-secret=k`;
  try {
    return qemu('qemu-io', '-r', ...keyObject(passphrase), '-c', 'read -v 0 512', '--image-opts', image)
      .split('\n')
      .map((line) => line.slice(-16))
      .join('');
  } catch (error) {
    if (error instanceof DevError && error.message.includes('Invalid password')) return undefined;
    throw error;
  }
}

const keyObject = (passphrase: string): readonly string[] => ['--object', `secret,id=k,data=${passphrase}`];
const qemu = (tool: string, ...args: readonly string[]): string => runOnce(host.as, [systemTool(tool), ...args], daemonEnv);
