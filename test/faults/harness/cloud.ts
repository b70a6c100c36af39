import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Daemon,
  eventually,
  nodeEnv,
  type Postgres,
  privateDir,
  privateFile,
  programOf,
  type RunAs,
  repositoryRoot,
  startDaemon,
} from '@carnet/dev';
import { type BrokerClient, connectBroker } from '@carnet/publisher';
import { brokerConfigText, type ConfigFacts } from '../../../infra/dev/src/clouds/config-text.ts';
import { choosePorts } from '../../../infra/dev/src/clouds/csp.ts';
import type { CspPaths, CspPlan } from '../../../infra/dev/src/clouds/layout.ts';
import { diskRecords } from './disk-hypervisor.ts';
import { presentRelease, type Release } from './releases.ts';

/** One side: its processes, its door, and what its pretended host did. */
export type Cloud = {
  readonly plan: CspPlan;
  readonly peer: CspPlan;
  readonly paths: CspPaths;
  readonly facts: ConfigFacts;
  readonly database: Postgres;
  readonly broker: Daemon;
  readonly agent: Daemon;
  readonly host: ReturnType<typeof diskRecords>;
  readonly api: BrokerClient;
  readonly as: RunAs;
  /** A second replica over the same database, key root and identity. Again, once that one has stopped: in its place. */
  readonly startReplica: (release?: Release) => Promise<Replica>;
  /** Another release in the place of `broker`, which must have stopped. */
  readonly replaceBroker: (release: Release) => Promise<Daemon>;
  readonly stop: () => Promise<void>;
};
export type Replica = { readonly broker: Daemon; readonly api: BrokerClient };

export type CloudParts = Pick<Cloud, 'plan' | 'peer' | 'paths' | 'facts' | 'database' | 'as'> & {
  readonly wrapAgent: (command: readonly string[]) => readonly string[];
  /** Of `broker`. */
  readonly release?: Release;
  /** What the heap of each broker may hold; one that needs more dies. */
  readonly heapMiB?: number;
};

/** What one replica has of its own. */
type Seat = { readonly config: string; readonly configText: string; readonly logFile: string; readonly http: number };

export async function openCloud(parts: CloudParts): Promise<Cloud> {
  const { plan, paths, facts, database } = parts;
  const first: Seat = {
    config: paths.brokerConfig,
    configText: readFileSync(paths.brokerConfig, 'utf8'),
    logFile: paths.brokerLog,
    http: facts.ports.http,
  };
  const broker = await startBroker(parts, first, parts.release ?? presentRelease);
  const agent = await startFakeAgent(parts);
  const api = clientOf(paths, plan, facts.ports.http, 'operator');
  await hostIsUp(api);
  const replicas: Replica[] = [];
  const replacements: Daemon[] = [];
  let second: Seat | undefined;
  return {
    ...parts,
    broker,
    agent,
    api,
    host: diskRecords(fakeStateOf(paths)),
    startReplica: async (release = presentRelease) => {
      second ??= await secondSeat(parts);
      const replica = {
        broker: await startBroker(parts, second, release),
        api: clientOf(paths, plan, second.http, 'operator'),
      };
      replicas.push(replica);
      return replica;
    },
    replaceBroker: async (release) => {
      const replacement = await startBroker(parts, first, release);
      replacements.push(replacement);
      await hostIsUp(api);
      return replacement;
    },
    stop: async () => {
      for (const one of [api, ...replicas.map((replica) => replica.api)]) one.close();
      const brokers = [broker, ...replacements, ...replicas.map((replica) => replica.broker)];
      await Promise.all([agent.stop(), ...brokers.map((one) => one.stop())]);
      await database.stop();
    },
  };
}

/** A broker learns of its hosts by their hellos: before the first, it has no place for a VM. */
const hostIsUp = (api: BrokerClient): Promise<true> =>
  eventually('a host that is up', async () => {
    const hosts = await api.get<{ readonly items: readonly { readonly state: string }[] }>('/v1/hosts');
    return hosts.ok && hosts.value.items.some(({ state }) => state === 'up') ? true : undefined;
  });

const node = join(repositoryRoot, 'node_modules', '.bin', 'node');
const fakeStateOf = (paths: CspPaths): string => join(paths.agentState, 'fake');

function startBroker(
  { plan, as, heapMiB }: CloudParts,
  { config, configText, logFile }: Seat,
  release: Release,
): Promise<Daemon> {
  privateFile(config, `${configText}${release.config ?? ''}`, as);
  return startDaemon({
    name: `broker of ${plan.domain}`,
    as,
    command: [node, programOf(release.root, 'broker'), '--config', config],
    env: nodeEnv(as, heapMiB === undefined ? undefined : `--max-old-space-size=${heapMiB}`),
    cwd: '/',
    logFile,
    stopSignal: 'SIGTERM',
    ready: saysReady(logFile, '"broker ready"'),
  });
}

/** Ready once more than last time: a process that answers before it has found its database may still give up. */
function saysReady(logFile: string, words: string): () => boolean {
  const said = (): number => readOrEmpty(logFile).split(words).length - 1;
  let before = said();
  return () => {
    const count = said();
    if (count <= before) return false;
    before = count;
    return true;
  };
}

function startFakeAgent({ plan, as, paths, wrapAgent }: CloudParts): Promise<Daemon> {
  return startDaemon({
    name: `fake agent of ${plan.domain}`,
    as,
    command: wrapAgent([node, programOf(repositoryRoot, 'fake-agent'), paths.agentConfig]),
    env: nodeEnv(as),
    cwd: '/',
    logFile: paths.agentLog,
    stopSignal: 'SIGTERM',
    ready: saysReady(paths.agentLog, 'fake agent ready'),
  });
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // Not started yet.
    return '';
  }
}

/** The operator's, scheduler's or any other leaf's way into one broker. */
export function clientOf(paths: CspPaths, plan: CspPlan, port: number, who: string): BrokerClient {
  const read = (name: string): string => readFileSync(join(paths.pki, name), 'utf8');
  return connectBroker({
    url: `https://127.0.0.1:${port}`,
    serverName: `broker.${plan.domain}`,
    ca: read('root.pem'),
    credentials: { kind: 'certificate', certificate: read(`${who}.pem`), key: read(`${who}.key`) },
  });
}

/** Whoever has a token, at the token door. */
export const tokenClientOf = ({ paths, plan, facts }: Cloud, token: string): BrokerClient =>
  connectBroker({
    url: `https://127.0.0.1:${facts.ports.tokens}`,
    serverName: `broker.${plan.domain}`,
    ca: readFileSync(join(paths.pki, 'root.pem'), 'utf8'),
    credentials: { kind: 'token', token },
  });

async function secondSeat({ paths, facts, as }: CloudParts): Promise<Seat> {
  const { http, tokens, ops } = await choosePorts();
  const state = privateDir(join(paths.home, 'broker-2'), as);
  const ownPaths = { ...paths, brokerState: state };
  return {
    config: join(paths.home, 'broker-2.toml'),
    configText: brokerConfigText({ ...facts, paths: ownPaths, ports: { ...facts.ports, http, tokens, ops } }),
    logFile: join(paths.home, 'broker-2.log'),
    http,
  };
}
