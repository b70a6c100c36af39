import { BlockList, isIP, isIPv6 } from 'node:net';
import type { NetworkInterfaceInfo } from 'node:os';
import { z } from 'zod';

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIPv6(address) ? 'ipv6' : 'ipv4');

/** `192.0.2.0/24`, `2001:db8::/32`. */
export const network = z.string().refine((text) => {
  const [address = '', bits = '', ...more] = text.split('/');
  return isIP(address) !== 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (isIPv6(address) ? 128 : 32) && more.length === 0;
}, 'expected a network in CIDR notation');

/** Linux's own limit of 15 characters. */
export const interfaceName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$/, 'expected the name of a network interface');

export type DeclaredNetwork = {
  readonly address: string;
  readonly interface?: string | undefined;
  readonly networks?: readonly string[] | undefined;
};
export type MigrationNetwork = {
  /** Absent: from anywhere. */
  readonly takes?: (remoteAddress: string) => boolean;
  /** From where this host dials peers' agents; absent: as its routes say. */
  readonly localAddress?: string;
};

/**
 * Which connections the data path takes, and from where it dials. Threat: Linux answers for any of its addresses on every interface, so
 * that a listener bound to the migration VLAN's address is reached from the others, too. An interface that is declared must have the
 * address; its own networks count unless others are named.
 */
export function migrationNetwork(
  declared: DeclaredNetwork,
  interfaces: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>,
): MigrationNetwork {
  const { address, interface: name } = declared;
  const own = name === undefined ? [] : (interfaces[name] ?? []);
  if (name !== undefined && !own.some((one) => one.address === address))
    throw new Error(`the data path does not open: interface ${name} does not have the address ${address}`);
  const networks = declared.networks ?? own.flatMap(({ cidr }) => cidr ?? []);
  const bound = name === undefined ? {} : { localAddress: address };
  if (networks.length === 0) return bound;
  const allowed = new BlockList();
  for (const one of networks) {
    const [base = '', bits = ''] = one.split('/');
    allowed.addSubnet(base, Number(bits), familyOf(base));
  }
  // An IPv4 peer of a socket that listens on IPv6, too.
  const plain = (remote: string): string => remote.replace(/^::ffff:(?=\d+\.)/, '');
  return {
    ...bound,
    takes: (remote) => {
      const from = plain(remote);
      return isIP(from) !== 0 && allowed.check(from, familyOf(from));
    },
  };
}
