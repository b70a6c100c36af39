import { BlockList, isIP, isIPv6 } from 'node:net';
import type { DataPath, Reason } from '@carnet/events';
import { z } from 'zod';
import { reasonOf } from '../reason.ts';

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIPv6(address) ? 'ipv6' : 'ipv4');

/** `192.0.2.0/24`, `2001:db8::/32`. */
export const network = z.string().refine((text) => {
  const [address = '', bits = '', ...more] = text.split('/');
  return isIP(address) !== 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (isIPv6(address) ? 128 : 32) && more.length === 0;
}, 'expected a network in CIDR notation');

const listOf = (networks: readonly string[]): BlockList => {
  const list = new BlockList();
  for (const one of networks) {
    const [address = '', bits = ''] = one.split('/');
    list.addSubnet(address, Number(bits), familyOf(address));
  }
  return list;
};

/** Never a peer's by itself: this host, links, private networks, multicast and what is reserved (RFC 6890, RFC 4193, RFC 4291). */
const OURS = listOf(
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.168.0.0/16 198.18.0.0/15 224.0.0.0/3 ::/127 64:ff9b::/96 fc00::/7 fe80::/10 ff00::/8'.split(
    ' ',
  ),
);

/**
 * Why our agent may not dial what the peer named. Threat: a peer has our hosts connect to our own services, and reads from what
 * fails how they answer. `allowed`: the networks that were agreed with this peer; none: anything public. Names are refused: where
 * one leads is decided by whoever runs its zone, after we have looked.
 */
export function dataPathFault({ address }: DataPath, allowed: readonly string[]): Reason | undefined {
  const fault = reasonOf('DATA_PATH_REFUSED', 'the address of the data path is not one that was agreed');
  if (isIP(address) === 0) return fault;
  const family = familyOf(address);
  const fits = allowed.length === 0 ? !OURS.check(address, family) : listOf(allowed).check(address, family);
  return fits ? undefined : fault;
}
