import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import {
  asSelf,
  eventually,
  freePort,
  hold,
  type Nats,
  privateDir,
  privateFile,
  runAs,
  scratch,
  startNats,
  startNatsCluster,
  startPostgres,
} from '@carnet/dev';
import type { TrustDomain } from '@carnet/events';
import { type BusNode, busConfig, ensureStreams } from '@carnet/journal';
import { createFederationPki, type FederationPki, rememberedRsaKeys } from '@carnet/pki';
import { agentConfigText, brokerConfigText, type ConfigFacts } from '../../../infra/dev/src/clouds/config-text.ts';
import { choosePorts } from '../../../infra/dev/src/clouds/csp.ts';
import {
  BUS_DOMAIN,
  BUS_SERVER_NAME,
  CSP_A,
  CSP_B,
  type CspPaths,
  type CspPlan,
  cspPaths,
  HOST,
} from '../../../infra/dev/src/clouds/layout.ts';
import { policyFiles } from '../../../infra/dev/src/clouds/policy-text.ts';
import { makeCheapRoot } from './cheap-root.ts';
import { type Cloud, openCloud } from './cloud.ts';
import { keyPinOf, leafIdentity, serverFiles, startLeaf } from './own-servers.ts';
import type { Release } from './releases.ts';

/** Two clouds whose hypervisors are faked; everything else, down to every process, is real. */
export type Clouds = {
  readonly root: string;
  /** As `createFederationPki` wrote it: a test may be any of its members. */
  readonly pki: string;
  /** Its authorities with their keys: a test may revoke. */
  readonly federation: FederationPki;
  readonly bus: Nats;
  /** All servers of the bus; `bus` is the first. */
  readonly nodes: readonly Nats[];
  /** Servers of the clouds' own, A's and B's, where they were asked for. */
  readonly leaves: readonly Nats[];
  readonly a: Cloud;
  readonly b: Cloud;
  /** Where a third with a plan was asked for. */
  readonly c?: Cloud;
  readonly stop: () => Promise<void>;
};

export type CloudsOptions = {
  /**
   * A further member, admitted by both: certificates, a place on the bus, a peer of each, and known to their policies. By its domain
   * alone it runs nothing; with a plan, what the two run.
   */
  readonly third?: TrustDomain | CspPlan;
  /** Both are members of the bus, and it lets neither say anything to the other. */
  readonly strangers?: true;
  /** Brokers and agents connect to a server of their own cloud, which calls the bus. */
  readonly ownServers?: true;
  /** The bus is a cluster of three, and its streams have three replicas. */
  readonly busNodes?: 3;
  /** Changes the text of each file of a side's policy set, e.g. to deny what the other side allows. */
  readonly policy?: (text: string, plan: CspPlan) => string;
  /** Changes a side's broker configuration. */
  readonly broker?: (text: string, plan: CspPlan) => string;
  /** Before a side's processes start: its files may be changed. */
  readonly prepare?: (plan: CspPlan, paths: CspPaths, federation: FederationPki) => Promise<void>;
  /** Further files of a side's policy set. */
  readonly policyMore?: (plan: CspPlan) => Readonly<Record<string, string>>;
  /** Changes a side's agent configuration, e.g. to lend less disk than the machine has. */
  readonly agent?: (text: string, plan: CspPlan) => string;
  /** A side's `[keys]`, where it is not a sealed file. */
  readonly keys?: (plan: CspPlan, paths: CspPaths) => string | undefined;
  /** Whose program a side's broker runs. */
  readonly release?: (plan: CspPlan) => Release | undefined;
  /** As `CloudParts`. */
  readonly heapMiB?: number;
  /** Starts a side's agent in surroundings of its own, e.g. on a small disk. */
  readonly wrapAgent?: (command: readonly string[], plan: CspPlan, paths: CspPaths) => readonly string[];
};

export async function startClouds(options: CloudsOptions = {}): Promise<Clouds> {
  const root = scratch('fake');
  const pki = privateDir(join(root, 'pki'), asSelf());
  const third = typeof options.third === 'object' ? options.third : undefined;
  const plans = [CSP_A, CSP_B, ...(third === undefined ? [] : [third])];
  const guests = typeof options.third === 'string' ? [{ domain: options.third, hosts: [] }] : [];
  const members = [...plans.map(({ domain }) => ({ domain, hosts: [HOST] })), ...guests];
  const keys = rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`));
  const federation = await createFederationPki({
    dir: pki,
    domains: members,
    busDomain: BUS_DOMAIN,
    nowMs: Date.now(),
    random: randomBytes,
    keys,
  });
  const leafPort = options.ownServers === true ? await freePort() : undefined;
  const between = { members, ...(options.strangers === true ? { pairs: [] } : {}) };
  const nodes = await startBus(root, pki, between, { busNodes: options.busNodes, leafPort });
  const [bus] = nodes;
  if (bus === undefined) throw new Error('a bus has a server');
  const leaves =
    leafPort === undefined
      ? []
      : await Promise.all(
          [CSP_A, CSP_B].map((plan, i) => startLeaf({ root, pki, plan, peer: [CSP_B, CSP_A][i] ?? CSP_B, leafPort })),
        );
  const [a, b, c] = await Promise.all([
    startCloud(root, federation, pki, leaves.length === 0 ? nodes : leaves.slice(0, 1), CSP_A, CSP_B, options),
    startCloud(root, federation, pki, leaves.length === 0 ? nodes : leaves.slice(1), CSP_B, CSP_A, options),
    third === undefined ? undefined : startCloud(root, federation, pki, nodes, third, CSP_A, options),
  ]);
  return {
    root,
    pki,
    federation,
    bus,
    nodes,
    leaves,
    a,
    b,
    ...(c === undefined ? {} : { c }),
    stop: async () => {
      await Promise.all([a, b, c].map((one) => one?.stop()));
      await Promise.all([...leaves, ...nodes].map((node) => node.stop()));
    },
  };
}

type Between = Parameters<typeof ensureStreams>[1];

async function startBus(
  root: string,
  pki: string,
  between: Between,
  { busNodes, leafPort }: { readonly busNodes: 3 | undefined; readonly leafPort: number | undefined },
): Promise<readonly Nats[]> {
  const dir = privateDir(join(root, 'bus'), runAs());
  const tls = serverFiles(pki, 'bus', dir);
  const leaves = leafPort === undefined ? {} : { leaves: `127.0.0.1:${leafPort}` };
  const configText = (cluster?: BusNode): string =>
    busConfig({ busDomain: BUS_DOMAIN, tls, ...between, ...leaves, ...(cluster === undefined ? {} : { cluster }) });
  if (busNodes === undefined) {
    const bus = await startNats({ dir, configText: configText() });
    await ensureStreams(busAddress(pki, bus, 'bus', 'operator'), between);
    return [bus];
  }
  const keyPins = [keyPinOf(tls.cert)];
  const nodes = await startNatsCluster({ dir, count: busNodes, configText: (node) => configText({ ...node, keyPins }) });
  const operator = { ...busAddress(pki, nodes[0], 'bus', 'operator'), servers: nodes.map(({ url }) => url) };
  // The first leader of a new cluster is elected within seconds; until then it refuses.
  await eventually('a cluster with a leader', () =>
    ensureStreams(operator, { ...between, replicas: busNodes }).then(
      () => true as const,
      () => undefined,
    ),
  );
  return nodes;
}

/** The bus as one holder of a certificate of this federation reaches it. */
export function busAddress(pki: string, bus: Nats, folder: string, name: string) {
  const read = (file: string): string => readFileSync(join(pki, file), 'utf8');
  const tls = { cert: read(`${folder}/${name}.pem`), key: read(`${folder}/${name}.key`), ca: read('root.pem') };
  return { servers: [bus.url], serverName: BUS_SERVER_NAME, name: `test as ${folder}/${name}`, tls };
}

async function startCloud(
  root: string,
  federation: FederationPki,
  pki: string,
  nodes: readonly Nats[],
  plan: CspPlan,
  peer: CspPlan,
  options: CloudsOptions,
): Promise<Cloud> {
  const paths = cspPaths(root, plan);
  // Brokers and agents run as whoever runs the test; only daemons that refuse root get another account.
  const as = asSelf();
  // PostgreSQL's own account passes through to its directory, and reads nothing else on the way.
  mkdirSync(paths.home, { mode: 0o711 });
  chmodSync(paths.home, 0o711);
  for (const dir of [
    paths.pki,
    paths.crls,
    paths.agentState,
    paths.volumes,
    paths.images,
    paths.imports,
    paths.boot,
    paths.brokerState,
  ])
    privateDir(dir, as);
  for (const name of readdirSync(join(pki, plan.domain))) copyFileSync(join(pki, plan.domain, name), join(paths.pki, name));
  for (const name of readdirSync(join(pki, 'crls'))) copyFileSync(join(pki, 'crls', name), join(paths.crls, name));
  copyFileSync(join(pki, 'root.pem'), join(paths.pki, 'root.pem'));
  privateFile(paths.eventKey, generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), as);
  privateFile(paths.passphrase, randomBytes(32).toString('hex'), as);
  const database = await startPostgres({ dir: paths.database });
  const keysText = options.keys?.(plan, paths);
  if (keysText === undefined) await makeCheapRoot(paths);
  const facts: ConfigFacts = {
    ...(keysText === undefined ? {} : { keysText }),
    plan,
    peer,
    paths,
    ports: await choosePorts(),
    busUrl: nodes.map(({ port }) => `tls://127.0.0.1:${port}`).join(','),
    ...(options.ownServers === true ? { bus: leafIdentity(plan) } : {}),
    databaseUrl: database.url,
    libvirtSocket: '/nonexistent/libvirt-sock',
    swtpm: '/nonexistent/swtpm',
    tmpfs: tmpfsOf(root, plan),
    rollbackWindowSeconds: 0,
    logLevel: 'debug',
  };
  privateDir(paths.policy, as);
  for (const [name, text] of Object.entries(policyFiles(plan))) {
    const admitting = name === 'entities.json' ? withCsp(text, domainOf(options.third)) : text;
    privateFile(join(paths.policy, name), options.policy?.(admitting, plan) ?? admitting, as);
  }
  for (const [name, text] of Object.entries(options.policyMore?.(plan) ?? {})) privateFile(join(paths.policy, name), text, as);
  const further = plan === options.third ? CSP_B.domain : domainOf(options.third);
  const brokerText = withPeer(brokerConfigText(facts), further);
  privateFile(paths.brokerConfig, options.broker?.(brokerText, plan) ?? brokerText, as);
  privateFile(paths.agentConfig, options.agent?.(agentConfigText(facts), plan) ?? agentConfigText(facts), as);
  await options.prepare?.(plan, paths, federation);
  const wrapAgent = (command: readonly string[]): readonly string[] => options.wrapAgent?.(command, plan, paths) ?? command;
  const release = options.release?.(plan);
  const { heapMiB } = options;
  return openCloud({
    plan,
    peer,
    paths,
    facts,
    database,
    as,
    wrapAgent,
    ...(release === undefined ? {} : { release }),
    ...(heapMiB === undefined ? {} : { heapMiB }),
  });
}

const domainOf = (third: CloudsOptions['third']): TrustDomain | undefined => (typeof third === 'object' ? third.domain : third);

const withPeer = (text: string, third: TrustDomain | undefined): string =>
  third === undefined ? text : `${text}\n[[peers]]\ndomain = "${third}"\ndataPaths = ["127.0.0.0/8"]\n`;

type Entity = {
  readonly uid: { readonly type: string; readonly id: string };
  readonly attrs: object;
  readonly parents: readonly unknown[];
};

/** Its place is known: the demonstration's rules receive from it. Its own host is as high as theirs. */
function withCsp(text: string, third: TrustDomain | undefined): string {
  if (third === undefined) return text;
  const entities: readonly Entity[] = JSON.parse(text);
  return JSON.stringify([
    ...entities.map((one) => (one.uid.type === 'Host' ? { ...one, attrs: { level: 1 } } : one)),
    { uid: { type: 'Csp', id: third }, attrs: { jurisdictions: ['EU'], level: 1 }, parents: [] },
  ]);
}

function tmpfsOf(root: string, plan: CspPlan): string {
  const dir = privateDir(join('/dev/shm', `${root.split('/').at(-1)}-${plan.key}`), asSelf());
  const remove = (): void => rmSync(dir, { recursive: true, force: true });
  hold({ name: dir, stop: async () => remove(), stopBlocking: remove });
  return dir;
}
