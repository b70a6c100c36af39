import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { daemonEnv, runOnce, systemTool } from '@carnet/dev';
import { expect, it } from 'vitest';
import { startLocked } from './testing/example.ts';
import { startQemuHost, tinyGuestXml } from './testing/qemu-host.ts';

it('the example of the README is the code that runs here', () => {
  const read = (file: string): string => readFileSync(join(import.meta.dirname, file), 'utf8');
  const [, example] = /```ts\n([\s\S]*?)```/.exec(read('../README.md')) ?? [];
  expect(example).toBe(read('testing/example.ts'));
});

it('and it does what it says, with an encrypted disk and a right and a wrong key', async () => {
  const host = await startQemuHost('readme');
  try {
    const [disk, uuid] = [join(host.dirs.disks, 'locked.qcow2'), '11111111-1111-4111-8111-111111111111'];
    const luks = ['-o', 'encrypt.format=luks,encrypt.key-secret=s0,encrypt.hash-alg=sha512,encrypt.iter-time=10'];
    const create = [
      systemTool('qemu-img'),
      'create',
      '-q',
      '--object',
      'secret,id=s0,data=right',
      '-f',
      'qcow2',
      ...luks,
      disk,
      '4M',
    ];
    runOnce(host.as, create, daemonEnv);
    const secretXml = `<secret ephemeral='yes' private='yes'><uuid>${uuid}</uuid><usage type='volume'><volume>${disk}</volume></usage></secret>`;
    const domainXml = tinyGuestXml(
      'locked',
      `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${disk}'>
        <encryption format='luks'><secret type='passphrase' uuid='${uuid}'/></encryption></source><target dev='vda' bus='virtio'/></disk>`,
    );
    expect(await startLocked(host.socket, secretXml, domainXml, Buffer.from('wrong'))).toBeUndefined();
    expect(await startLocked(host.socket, secretXml, domainXml, Buffer.from('right'))).toContain('started booted');
    expect(host.virsh('domstate', 'locked').trim()).toBe('running');
  } finally {
    await host.stop();
  }
});
