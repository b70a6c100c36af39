import { type HostName, subjectToken, type TrustDomain } from '@carnet/events';
import { account, agentUser, type BusConfig, brokerUser, pinsOf, rightsOf, subjectsOfHosts, text } from './bus-config.ts';
import { BUS_MESSAGE_BYTES_MAX } from './limits.ts';

export type LeafConfig = {
  readonly domain: TrustDomain;
  readonly hosts: readonly HostName[];
  /** CSPs with which ledgers are exchanged, as the bus has them. */
  readonly peers: readonly TrustDomain[];
  /** Paths of PEM files of `spiffe://<domain>/server`; it listens to its own CSP and calls the bus with it. */
  readonly tls: BusConfig['tls'];
  readonly hub: {
    /** `host:port` of each server of the bus where leaves call. */
    readonly servers: readonly string[];
    /** SHA-256, hex, of the SubjectPublicKeyInfo of every server's TLS key. */
    readonly keyPins: readonly string[];
  };
};

/**
 * Configuration of a CSP's own nats-server, between its broker and agents and the federation's bus. While the bus is away, talk
 * with hosts goes on; it keeps no events (the outbox does), and so needs no JetStream. `{{port}}` and `{{dir}}` as in `busConfig`.
 *
 * The threat is a bus that pretends to be a host or overhears one: nothing of hosts passes the link, in either direction. Every
 * member holds a certificate under the same root, so the bus is known by its keys. nats-server heeds pins of the block that
 * would listen, and not those of a remote; names, which are none on an address, are not asked for.
 */
export function leafConfig({ domain, hosts, peers, tls, hub }: LeafConfig): string {
  const files = `cert_file: ${text(tls.cert)}, key_file: ${text(tls.key)}, ca_file: ${text(tls.ca)}`;
  const rights = rightsOf(
    domain,
    peers.flatMap((peer) => [
      { publisher: domain, audience: peer },
      { publisher: peer, audience: domain },
    ]),
  );
  if (hub.servers.length === 0) throw new RangeError('expected one server of the bus at least');
  const kept = subjectsOfHosts.map(text).join(', ');
  return [
    'listen: "127.0.0.1:{{port}}"',
    `server_name: ${text(`carnet-${subjectToken(domain)}`)}`,
    `max_payload: ${BUS_MESSAGE_BYTES_MAX}`,
    `tls { ${files}, verify_and_map: true, min_version: "1.3", timeout: 5 }`,
    'accounts {',
    `  ${account(domain)} {`,
    '    users: [',
    ...[brokerUser(rights), ...hosts.map((host) => agentUser(domain, host))].map((line) => `      ${line}`),
    '    ]',
    '  }',
    '}',
    'leafnodes {',
    '  reconnect: "1s"',
    `  tls { ${files}, verify: true, min_version: "1.3", timeout: 5, pinned_certs: [${pinsOf(hub.keyPins)}] }`,
    '  remotes: [ {',
    `    urls: [${hub.servers.map((server) => text(`tls://${server}`)).join(', ')}], account: ${account(domain)}`,
    `    deny_imports: [${kept}], deny_exports: [${kept}]`,
    `    tls { ${files}, insecure: true, min_version: "1.3", timeout: 5 }`,
    '  } ]',
    '}',
    '',
  ].join('\n');
}
