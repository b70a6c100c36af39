import type { NetworkInterfaceInfo } from 'node:os';
import { describe, expect, it } from 'vitest';
import { migrationNetwork, network } from './migration-network.ts';

const ipv4 = (address: string, cidr: string): NetworkInterfaceInfo => ({
  address,
  cidr,
  netmask: '255.255.255.0',
  family: 'IPv4',
  mac: '02:00:00:00:00:01',
  internal: false,
});
const interfaces = { mig0: [ipv4('10.77.0.1', '10.77.0.1/24')], pub0: [ipv4('192.0.2.7', '192.0.2.7/24')] };

describe('the declared migration network', () => {
  it('undeclared, takes whom TLS takes, and dials as routes say', () =>
    expect(migrationNetwork({ address: '127.0.0.1' }, interfaces)).toEqual({}));

  it('an interface that has not the address stops the agent', () => {
    for (const name of ['pub0', 'none'])
      expect(() => migrationNetwork({ address: '10.77.0.1', interface: name }, interfaces)).toThrow('does not have the address');
  });

  it('takes from the interface’s own networks only, and dials from its address', () => {
    const { takes, localAddress } = migrationNetwork({ address: '10.77.0.1', interface: 'mig0' }, interfaces);
    const asked = ['10.77.0.2', '::ffff:10.77.0.9', '192.0.2.8', '127.0.0.1', '10.78.0.2', '::1', '', 'x'];
    expect([localAddress, asked.filter((remote) => takes?.(remote))]).toEqual(['10.77.0.1', asked.slice(0, 2)]);
  });

  it('or from those that are named, e.g. behind a router', () => {
    const declared = { address: '10.77.0.1', interface: 'mig0', networks: ['10.99.0.0/16', '2001:db8::/32'] };
    const { takes } = migrationNetwork(declared, interfaces);
    expect(['10.99.3.4', '2001:db8::5', '10.77.0.2'].map((remote) => takes?.(remote))).toEqual([true, true, false]);
  });

  it.each(['10.0.0.0', '10.0.0.0/33', 'mig.example/24', '10.0.0.0/8/8', '::/129'])('%s is no network', (text) =>
    expect(network.safeParse(text).success).toBe(false));
});
