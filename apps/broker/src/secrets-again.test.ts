import { type HostName, hostName } from '@carnet/events';
import type { Hello } from '@carnet/hypervisor';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { DISK_KEY, SPEC, VM } from '../../../libs/saga/src/testing.ts';
import { provideSecretsAgain } from './secrets-again.ts';
import type { MachinePorts } from './service/machines.ts';

const HOST = hostName.parse('host-1');
const lacks = (host: HostName) => ({ kind: 'hello', host, secretsMissing: [{ vm: VM, keys: [DISK_KEY] }] }) as unknown as Hello;
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A VM on `HOST` that came in its third migration, and what was sealed for whom. */
function world(status: 'done' | 'silent' = 'done') {
  const sealed: object[] = [];
  const lines: string[] = [];
  let asked = 0;
  const ports = {
    inventory: { vm: async () => ({ vm: VM, spec: SPEC, host: HOST, epoch: 3 }) },
    handover: {
      secretForHost: async (to: object, key: string) => {
        sealed.push(to);
        return { key, sealed: 'c2VjcmV0' };
      },
    },
    hosts: {
      sign: (draft: object) => draft,
      ask: async () => {
        asked += 1;
        return { status };
      },
    },
  } as unknown as MachinePorts;
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  return { provide: provideSecretsAgain(ports, log), sealed, lines, asked: () => asked };
}

describe('secrets that a host lost with its libvirtd', () => {
  it('are sealed for a VM’s life outside migrations, whatever migration brought it', async () => {
    const { provide, sealed, lines } = world();
    provide(HOST, lacks(HOST));
    await settled();
    expect(sealed).toEqual([{ host: HOST, vm: VM, epoch: 0, purpose: 'run', by: { reason: 'SECRETS_LOST' } }]);
    expect(lines.join()).not.toContain('c2VjcmV0');
  });

  it('go to the host that holds the VM, and to no other that says it does', async () => {
    const { provide, sealed } = world();
    provide(hostName.parse('host-2'), lacks(hostName.parse('host-2')));
    await settled();
    expect(sealed).toEqual([]);
  });

  it('are provided by one try at a time, and the next hello asks again', async () => {
    const { provide, asked } = world('silent');
    for (let i = 0; i < 10; i++) provide(HOST, lacks(HOST));
    await settled();
    expect(asked()).toBe(1);
    provide(HOST, lacks(HOST));
    await settled();
    expect(asked()).toBe(2);
  });
});
