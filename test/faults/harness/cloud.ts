import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Daemon, daemonEnv, eventually, type Postgres, privateDir, privateFile, type RunAs, startDaemon } from '@carnet/dev';
import { type BrokerClient, connectBroker } from '@carnet/publisher';
import { brokerConfigText, type ConfigFacts } from '../../../infra/dev/src/clouds/config-text.ts';
import type { CspPaths, CspPlan } from '../../../infra/dev/src/clouds/layout.ts';
import { diskRecords } from './disk-hypervisor.ts';
import { freePorts } from './ports.ts';

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
  /** A second replica over the same database, key root and identity. */
  readonly startReplica: () => Promise<Replica>;
  readonly stop: () => Promise<void>;
};
export type Replica = { readonly broker: Daemon; readonly api: BrokerClient };

export type CloudParts = Pick<Cloud, 'plan' | 'peer' | 'paths' | 'facts' | 'database' | 'as'> & {
  readonly repository: string;
  readonly wrapAgent: (command: readonly string[]) => readonly string[];
};

export async function openCloud(parts: CloudParts): Promise<Cloud> {
  const { plan, paths, facts, database } = parts;
  const broker = await startBroker(parts, paths.brokerConfig, paths.brokerLog);
  const agent = await startFakeAgent(parts);
  const api = clientOf(paths, plan, facts.ports.http, 'operator');
  await hostIsUp(api);
  const replicas: Replica[] = [];
  return {
    ...parts,
    broker,
    agent,
    api,
    host: diskRecords(fakeStateOf(paths)),
    startReplica: async () => {
      const replica = await startReplica(parts);
      replicas.push(replica);
      return replica;
    },
    stop: async () => {
      for (const one of [api, ...replicas.map((replica) => replica.api)]) one.close();
      await Promise.all([broker.stop(), agent.stop(), ...replicas.map((replica) => replica.broker.stop())]);
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

const fakeStateOf = (paths: CspPaths): string => join(paths.agentState, 'fake');

function startBroker({ plan, as, repository }: CloudParts, config: string, logFile: string): Promise<Daemon> {
  return startDaemon({
    name: `broker of ${plan.domain}`,
    as,
    command: [
      join(repository, 'node_modules', '.bin', 'node'),
      join(repository, 'apps', 'broker', 'src', 'main.ts'),
      '--config',
      config,
    ],
    env: { ...daemonEnv, NODE_OPTIONS: '--disable-warning=ExperimentalWarning' },
    cwd: '/',
    logFile,
    stopSignal: 'SIGTERM',
    ready: saysReady(logFile, '"broker ready"'),
  });
}

/** Ready once more than last time: a process that answers before it has found its database may still give up. */
function saysReady(logFile: string, words: string): () => boolean {
  let before = 0;
  return () => {
    const count = readOrEmpty(logFile).split(words).length - 1;
    if (count <= before) return false;
    before = count;
    return true;
  };
}

function startFakeAgent({ plan, as, paths, repository, wrapAgent }: CloudParts): Promise<Daemon> {
  return startDaemon({
    name: `fake agent of ${plan.domain}`,
    as,
    command: wrapAgent([
      join(repository, 'node_modules', '.bin', 'node'),
      join(import.meta.dirname, 'fake-agent.ts'),
      paths.agentConfig,
    ]),
    env: { ...daemonEnv, NODE_OPTIONS: '--disable-warning=ExperimentalWarning' },
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

async function startReplica(parts: CloudParts): Promise<Replica> {
  const { paths, plan, facts, as } = parts;
  const [http, tokens, ops] = await freePorts(3);
  if (http === undefined || tokens === undefined || ops === undefined) throw new Error('three ports were asked for');
  const state = privateDir(join(paths.home, 'broker-2'), as);
  const config = join(paths.home, 'broker-2.toml');
  privateFile(
    config,
    brokerConfigText({ ...facts, paths: { ...paths, brokerState: state }, ports: { ...facts.ports, http, tokens, ops } }),
    as,
  );
  const broker = await startBroker(parts, config, join(paths.home, 'broker-2.log'));
  return { broker, api: clientOf(paths, plan, http, 'operator') };
}
