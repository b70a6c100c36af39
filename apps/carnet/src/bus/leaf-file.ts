import { hostName, trustDomain } from '@carnet/events';
import { leafConfig } from '@carnet/journal';
import { z } from 'zod';
import { hostPort, keyPin, path } from './bus-file.ts';

/** What a CSP says about its own nats-server, between its broker and hosts and the federation's bus. */
export const leafFile = z.strictObject({
  domain: trustDomain,
  /** host:port where broker and agents connect. */
  listen: hostPort,
  hosts: z.array(hostName).max(1_000),
  /** CSPs with which it exchanges ledgers. */
  peers: z.array(trustDomain).min(1).max(256),
  /** PEM: of `spiffe://<domain>/server`. */
  certificateFile: path,
  keyFile: path,
  rootFile: path,
  hub: z.strictObject({
    /** host:port of each server of the bus where members' servers call. */
    servers: z.array(hostPort).min(1).max(16),
    /** SHA-256 (hex) of the public key of each server of the bus. */
    keyPins: z.array(keyPin).min(1).max(16),
  }),
});
export type LeafFile = z.infer<typeof leafFile>;

export function leafText({ domain, listen, hosts, peers, certificateFile, keyFile, rootFile, hub }: LeafFile): string {
  const tls = { cert: certificateFile, key: keyFile, ca: rootFile };
  return leafConfig({ domain, hosts, peers, tls, hub }).replaceAll('127.0.0.1:{{port}}', listen);
}
