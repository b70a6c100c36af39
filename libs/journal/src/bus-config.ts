import { type HostName, ledgerStream, ledgerSubjects, peerSubject, subjectToken, type TrustDomain } from '@carnet/events';
import { BROKER_REPLICAS_MAX, BUS_MESSAGE_BYTES_MAX, SUBSCRIPTIONS_MAX } from './limits.ts';

export type BusMember = { readonly domain: TrustDomain; readonly hosts: readonly HostName[] };

export type BusConfig = {
  /** Members whose users are left out: cut off at the next reload, while what they exchange stays as it is for all others. */
  readonly cutOff?: readonly TrustDomain[];
  /** Of the bus itself: `spiffe://<busDomain>/operator` creates streams and consumers. */
  readonly busDomain: TrustDomain;
  readonly members: readonly BusMember[];
  /** Which CSPs exchange ledgers; default: each with each. */
  readonly pairs?: readonly (readonly [TrustDomain, TrustDomain])[];
  /** Paths of PEM files; `ca` is the federation root. */
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string };
  /** This server is one of several that keep the streams together. Absent: it is alone. */
  readonly cluster?: BusNode;
  /** `host:port` where servers of the members' own call (`leafConfig`). Absent: brokers and agents connect here themselves. */
  readonly leaves?: string;
};

export type BusNode = {
  /** Of this server, unlike those of the others; it keeps it for ever. */
  readonly node: string;
  /** `host:port` where the other servers call. */
  readonly listen: string;
  /** `host:port` of every server of the cluster; its own may be among them. */
  readonly routes: readonly string[];
  /** SHA-256, hex, of the SubjectPublicKeyInfo of every server's TLS key. */
  readonly keyPins: readonly string[];
};

/** JetStream's API as a CSP's account sees the part of it that it may use. */
export const API_PREFIX = 'bus';
/** The account that owns the streams. No CSP has a user in it. */
const OWNER_ACCOUNT = 'FED';
/** The durable consumer of a ledger's only reader. */
export const durableOf = (audience: TrustDomain): string => subjectToken(audience);
/** Every ledger that the members exchange. */
export const busLedgers = ({ members, pairs }: Pick<BusConfig, 'members' | 'pairs'>) =>
  (pairs ?? everyPair(members)).flatMap(([one, other]) => [
    { publisher: one, audience: other },
    { publisher: other, audience: one },
  ]);
type BusLedger = ReturnType<typeof busLedgers>[number];

const everyPair = (members: readonly BusMember[]): readonly (readonly [TrustDomain, TrustDomain])[] =>
  members.flatMap(({ domain }, i) => members.slice(i + 1).map((other) => [domain, other.domain] as const));

/**
 * nats-server's configuration for the federation. `{{port}}` and `{{dir}}` are filled in by whoever starts it.
 *
 * The threat is a CSP that publishes as another, reads a ledger that is not addressed to it, or destroys a stream. One account
 * for each CSP: subjects of one do not exist in another but by an export that names it. What is exported is exact: to the
 * publisher its subjects and reading back, to the audience its one consumer. The TLS certificate's SPIFFE URI is the user.
 */
export function busConfig(config: BusConfig): string {
  const { tls, cluster, leaves } = config;
  const ledgers = busLedgers(config);
  return [
    'listen: "127.0.0.1:{{port}}"',
    `server_name: ${text(cluster?.node ?? 'carnet-bus')}`,
    `max_payload: ${BUS_MESSAGE_BYTES_MAX}`,
    `tls {`,
    `  cert_file: ${text(tls.cert)}, key_file: ${text(tls.key)}, ca_file: ${text(tls.ca)}`,
    '  verify_and_map: true, min_version: "1.3", timeout: 5',
    '}',
    ...(cluster === undefined ? ['jetstream { store_dir: "{{dir}}/jetstream" }'] : clusterOf(cluster, tls)),
    ...(leaves === undefined ? [] : leavesOf(leaves, tls)),
    'accounts {',
    ...ownerAccount(config, ledgers),
    ...config.members.flatMap((member) => memberAccount(member, ledgers, config)),
    '}',
    '',
  ].join('\n');
}

/**
 * Whoever is let in as a route is the bus itself: it reads every ledger. Every member holds a certificate under the same root, so
 * routes are known by their keys; names, which are none on an address, are not asked for. An acknowledgement is on most disks:
 * without `always` a server flushes every two minutes, and most of them may lose power together.
 */
function clusterOf({ listen, routes, keyPins }: BusNode, tls: BusConfig['tls']): readonly string[] {
  const pins = pinsOf(keyPins);
  return [
    'jetstream { store_dir: "{{dir}}/jetstream", sync_interval: always }',
    'lame_duck_grace_period: "2s", lame_duck_duration: "30s"',
    'cluster {',
    `  name: "carnet-bus", listen: ${text(listen)}`,
    `  routes: [${routes.map((route) => text(`nats-route://${route}`)).join(', ')}]`,
    '  tls {',
    `    cert_file: ${text(tls.cert)}, key_file: ${text(tls.key)}, ca_file: ${text(tls.ca)}`,
    `    verify: true, insecure: true, min_version: "1.3", timeout: 5, pinned_certs: [${pins}]`,
    '  }',
    '}',
  ];
}

/** @throws RangeError for none: without any, every holder of a certificate under the root would do */
export function pinsOf(keyPins: readonly string[]): string {
  const pins = keyPins.map((pin) => {
    if (!/^[0-9a-f]{64}$/.test(pin)) throw new RangeError(`expected a SHA-256 in hex, got ${pin}`);
    return text(pin);
  });
  if (pins.length === 0) throw new RangeError('expected the key of one server at least: without any, every member could be one');
  return pins.join(', ');
}

/** A member's server is its user `server` in the account of the member, by the certificate that it shows: never more than its broker. */
const leavesOf = (listen: string, tls: BusConfig['tls']): readonly string[] => [
  'leafnodes {',
  `  listen: ${text(listen)}`,
  '  tls {',
  `    cert_file: ${text(tls.cert)}, key_file: ${text(tls.key)}, ca_file: ${text(tls.ca)}`,
  '    verify_and_map: true, min_version: "1.3", timeout: 5',
  '  }',
  '}',
];

function ownerAccount({ busDomain }: BusConfig, ledgers: readonly BusLedger[]): readonly string[] {
  return [
    `  ${OWNER_ACCOUNT} {`,
    '    jetstream: enabled',
    `    users: [ { user: ${text(`spiffe://${busDomain}/operator`)} } ]`,
    '    exports: [',
    ...ledgers.flatMap(ownerExports).map((line) => `      ${line}`),
    '    ]',
    '  }',
  ];
}

const ownerExports = (ledger: BusLedger): readonly string[] => [
  ...publisherServices(ledger).map(({ subject }) => `{ service: ${text(subject)}, accounts: [${account(ledger.publisher)}] }`),
  ...audienceServices(ledger).map(
    ({ subject, response }) => `{ service: ${text(subject)}, response: ${response}, accounts: [${account(ledger.audience)}] }`,
  ),
];

type Service = { readonly subject: string; readonly response: 'singleton' | 'stream'; readonly to?: string };

const api = (call: string): Pick<Service, 'subject' | 'to'> => ({ subject: `$JS.API.${call}`, to: `${API_PREFIX}.${call}` });

/** Publish, and read back what was published. */
const publisherServices = ({ publisher, audience }: BusLedger): readonly Service[] => [
  { subject: ledgerSubjects(publisher, audience), response: 'singleton' },
  { ...api(`STREAM.MSG.GET.${ledgerStream(publisher, audience)}`), response: 'singleton' },
];

/** One durable consumer, made by the operator: look at it, pull from it, acknowledge. */
const audienceServices = ({ publisher, audience }: BusLedger): readonly Service[] => {
  const consumer = `${ledgerStream(publisher, audience)}.${durableOf(audience)}`;
  return [
    { ...api(`CONSUMER.INFO.${consumer}`), response: 'singleton' },
    { ...api(`CONSUMER.MSG.NEXT.${consumer}`), response: 'stream' },
    { subject: `$JS.ACK.${consumer}.>`, response: 'singleton' },
  ];
};

/**
 * A member that is cut off has no users. Where members' own servers call it has nothing that reaches beyond its account either: such
 * a server stays connected over a reload of nats-server, whatever became of its user.
 */
function memberAccount(
  { domain, hosts }: BusMember,
  all: readonly BusLedger[],
  { cutOff = [], leaves }: Pick<BusConfig, 'cutOff' | 'leaves'>,
): readonly string[] {
  const away = new Set(cutOff);
  const apart = new Set(leaves === undefined ? [] : cutOff);
  const ledgers = all.filter(({ publisher, audience }) => !apart.has(publisher) && !apart.has(audience));
  const rights = rightsOf(domain, all);
  const users = [
    brokerUser(rights),
    ...hosts.map((host) => agentUser(domain, host)),
    ...(leaves === undefined ? [] : [serverUser(rights)]),
  ];
  const own = ledgers.filter(({ publisher }) => publisher === domain);
  const read = ledgers.filter(({ audience }) => audience === domain);
  const services = apart.has(domain) ? [] : rights.services;
  return [
    `  ${account(domain)} {`,
    limitsOf(hosts.length, all.filter(({ publisher }) => publisher === domain).length),
    '    users: [',
    ...(away.has(domain) ? [] : users).map((line) => `      ${line}`),
    '    ]',
    '    exports: [',
    ...own.map(({ audience }) => `      { stream: ${text(peerSubject(domain, audience))}, accounts: [${account(audience)}] }`),
    '    ]',
    '    imports: [',
    ...read.map(
      ({ publisher }) => `      { stream: { account: ${account(publisher)}, subject: ${text(peerSubject(publisher, domain))} } }`,
    ),
    ...services.map(serviceImport).map((line) => `      ${line}`),
    '    ]',
    '  }',
  ];
}

/**
 * Threat: a member that opens connections or subscriptions without end, until the server has none left for others. A broker has a connection
 * to each peer and one more, an agent one; both for a moment twice as many, when they come back before the server noticed that they went.
 * What a member publishes has no limit here (nats-server has none): streams are bounded one by one, and brokers take in by measure.
 */
const limitsOf = (hosts: number, peers: number): string =>
  `    limits { max_connections: ${2 * (BROKER_REPLICAS_MAX * (peers + 1) + hosts)}, max_subscriptions: ${SUBSCRIPTIONS_MAX}, max_payload: ${BUS_MESSAGE_BYTES_MAX} }`;

/** What a member may say to and hear from the federation. */
export type Rights = {
  readonly domain: TrustDomain;
  readonly services: readonly Service[];
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
};

export function rightsOf(domain: TrustDomain, ledgers: readonly BusLedger[]): Rights {
  const own = ledgers.filter(({ publisher }) => publisher === domain);
  const read = ledgers.filter(({ audience }) => audience === domain);
  const services = [...own.flatMap(publisherServices), ...read.flatMap(audienceServices)];
  return {
    domain,
    services,
    publish: [...services.map(({ subject, to }) => to ?? subject), ...own.map(({ audience }) => peerSubject(domain, audience))],
    subscribe: read.map(({ publisher }) => peerSubject(publisher, domain)),
  };
}

const serviceImport = ({ subject, to }: Service): string =>
  `{ service: { account: ${OWNER_ACCOUNT}, subject: ${text(subject)} }${to === undefined ? '' : `, to: ${text(to)}`} }`;

export const brokerUser = ({ domain, publish, subscribe }: Rights): string =>
  user(`spiffe://${domain}/broker`, [...publish, 'host.>'], [...subscribe, 'host.>', '_INBOX.>']);

/** What it carries for its broker; talk with hosts stays at home. */
const serverUser = ({ domain, publish, subscribe }: Rights): string =>
  user(`spiffe://${domain}/server`, publish, [...subscribe, '_INBOX.>']);

/** An agent hears and speaks of its own host only, and cannot overhear what others are answered. */
export const agentUser = (domain: TrustDomain, host: HostName): string =>
  user(`spiffe://${domain}/agent/${host}`, [`host.${host}.>`], [`host.${host}.>`, `${inboxPrefix(host)}.>`]);

/** The `inboxPrefix` that an agent's connection must set if it sends requests. */
export const inboxPrefix = (host: HostName): string => `_INBOX.host.${host}`;

/** All between a broker and its agents. */
export const subjectsOfHosts = ['host.>', '_INBOX.host.>'] as const;

const user = (id: string, publish: readonly string[], subscribe: readonly string[]): string =>
  `{ user: ${text(id)}, permissions: { publish: { allow: [${publish.map(text).join(', ')}] }, ` +
  `subscribe: { allow: [${subscribe.map(text).join(', ')}] }, allow_responses: { max: 16, expires: "10m" } } }`;

export const account = (domain: TrustDomain): string => text(subjectToken(domain));

/** Domains and hosts hold nothing that would need escaping by their schemas; paths are checked here. */
export function text(value: string): string {
  if (/["\\\n]/.test(value)) throw new RangeError(`expected no quotes, backslashes or newlines in ${value}`);
  return `"${value}"`;
}
