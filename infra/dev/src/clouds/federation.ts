import { randomBytes } from 'node:crypto';
import { chmodSync, copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { busConfig, ensureStreams } from '@carnet/journal';
import { createFederationPki } from '@carnet/pki';
import { buildGuest, type Guest } from '../guest.ts';
import { type RunAs, runAs } from '../identity.ts';
import { type Nats, type NatsNetwork, startNats } from '../nats.ts';
import { own, privateDir, scratch } from '../scratch.ts';
import { type StagedCode, stageCode } from '../stage-code.ts';
import { type Csp, startCsp } from './csp.ts';
import { BUS_DOMAIN, BUS_SERVER_NAME, BUS_USER, CSP_A, CSP_B, type CspPaths, type CspPlan, HOST } from './layout.ts';

export type FederationOptions = {
  /** Seconds after `VmHealthy` in which the target may still be asked to give the VM back. */
  readonly rollbackWindowSeconds?: number;
  readonly logLevel?: 'debug' | 'info';
  /** Told of each step, for a person who waits. */
  readonly onStep?: (text: string) => void;
  /** The bus in a network of its own, and the address at which each cloud reaches it. Default: all on loopback. */
  readonly busNetwork?: NatsNetwork & { readonly addressFor: (plan: CspPlan) => string };
  /** Changes a side's directories before anything of it starts, e.g. mounts a small disk. */
  readonly prepare?: (plan: CspPlan, paths: CspPaths, as: RunAs) => void;
  /** More of NODE_OPTIONS for brokers and agents, e.g. a clock that can be set. */
  readonly nodeOptions?: string;
};

/** Two clouds and the bus between them, all on this machine, each under its own Unix user. */
export type Federation = {
  /** A short path under which everything lies. */
  readonly root: string;
  readonly pki: string;
  readonly guest: Guest;
  readonly code: StagedCode;
  readonly bus: Nats;
  readonly a: Csp;
  readonly b: Csp;
  readonly stop: () => Promise<void>;
};

const CSPS = [CSP_A, CSP_B] as const;

export async function startFederation(options: FederationOptions = {}): Promise<Federation> {
  const step = options.onStep ?? (() => undefined);
  const root = scratch('fed');
  const code = stageCode({ user: CSP_A.user });
  const guest = buildGuest({ dir: join(root, 'guest') });
  step('making certificates: a federation root, one constrained intermediate for each CSP, their leaves');
  const pki = privateDir(join(root, 'pki'), runAs('root'));
  await createFederationPki({
    dir: pki,
    domains: CSPS.map(({ domain }) => ({ domain, hosts: [HOST] })),
    busDomain: BUS_DOMAIN,
    nowMs: Date.now(),
    random: (n) => randomBytes(n),
  });
  step('starting the federation bus');
  const bus = await startBus(root, pki, options.busNetwork);
  step('starting both clouds: database, libvirtd, key manager and broker, agent');
  const common = {
    root,
    pki,
    code,
    guest,
    busUrl: (plan: CspPlan) => `tls://${options.busNetwork?.addressFor(plan) ?? '127.0.0.1'}:${bus.port}`,
    rollbackWindowSeconds: options.rollbackWindowSeconds ?? 0,
    logLevel: options.logLevel ?? 'info',
    ...(options.prepare === undefined ? {} : { prepare: options.prepare }),
    ...(options.nodeOptions === undefined ? {} : { nodeOptions: options.nodeOptions }),
  };
  const [a, b] = await Promise.all([
    startCsp({ ...common, plan: CSP_A, peer: CSP_B, busUrl: common.busUrl(CSP_A) }),
    startCsp({ ...common, plan: CSP_B, peer: CSP_A, busUrl: common.busUrl(CSP_B) }),
  ]);
  return { root, pki, guest, code, bus, a, b, stop: () => stopAll(bus, [a, b]) };
}

async function startBus(root: string, pki: string, network: NatsNetwork | undefined): Promise<Nats> {
  const as = runAs(BUS_USER);
  const dir = privateDir(join(root, 'bus'), as);
  const members = CSPS.map(({ domain }) => ({ domain, hosts: [HOST] }));
  const tls = {
    cert: bring(join(pki, 'bus', 'server.pem'), dir, as),
    key: bring(join(pki, 'bus', 'server.key'), dir, as),
    ca: bring(join(pki, 'root.pem'), dir, as),
  };
  const bus = await startNats({
    dir,
    configText: busConfig({ busDomain: BUS_DOMAIN, members, tls }),
    user: BUS_USER,
    ...(network === undefined ? {} : { network }),
  });
  const read = (name: string): string => readFileSync(join(pki, name), 'utf8');
  await ensureStreams(
    {
      servers: [bus.url],
      serverName: BUS_SERVER_NAME,
      name: 'bus operator',
      tls: { cert: read('bus/operator.pem'), key: read('bus/operator.key'), ca: read('root.pem') },
    },
    { members },
  );
  return bus;
}

function bring(file: string, dir: string, as: ReturnType<typeof runAs>): string {
  const to = join(dir, file.split('/').at(-1) ?? 'file');
  copyFileSync(file, to);
  chmodSync(to, 0o600);
  own(to, as);
  return to;
}

/** Brokers and agents first, so that they say good-bye; then what they stood on. */
async function stopAll(bus: Nats, csps: readonly Csp[]): Promise<void> {
  await Promise.all(csps.flatMap((csp) => [csp.broker.stop(), csp.agent.stop()]));
  await Promise.all(csps.flatMap((csp) => [csp.host.stop(), csp.database.stop()]));
  await bus.stop();
}
