import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Daemon, startDaemon } from '../daemon.ts';
import type { Guest } from '../guest.ts';
import type { HookInstaller } from '../hooks.ts';
import { type Host, startHost } from '../host.ts';
import { type RunAs, runAs } from '../identity.ts';
import { nodeEnv } from '../node-env.ts';
import { freePort } from '../ports.ts';
import { type Postgres, startPostgres } from '../postgres.ts';
import { programOf } from '../programs.ts';
import { hold } from '../registry.ts';
import { own, privateDir, privateFile } from '../scratch.ts';
import type { StagedCode } from '../stage-code.ts';
import { agentConfigText, brokerConfigText, type ConfigFacts, type CspPorts, contextText } from './config-text.ts';
import { type CspPaths, type CspPlan, cspPaths } from './layout.ts';
import { policyFiles } from './policy-text.ts';

export type CspOptions = {
  readonly root: string;
  readonly plan: CspPlan;
  readonly peer: CspPlan;
  /** Where `createFederationPki` wrote. */
  readonly pki: string;
  readonly busUrl: string;
  readonly code: StagedCode;
  readonly guest: Guest;
  readonly rollbackWindowSeconds: number;
  readonly logLevel: 'debug' | 'info';
  readonly prepare?: (plan: CspPlan, paths: CspPaths, as: RunAs) => void;
  readonly nodeOptions?: string;
};

/** One running CSP: its own user, directories, database, libvirtd, broker and agent. */
export type Csp = {
  readonly plan: CspPlan;
  readonly paths: CspPaths;
  readonly ports: CspPorts;
  readonly database: Postgres;
  readonly host: Host;
  readonly broker: Daemon;
  readonly agent: Daemon;
  readonly as: RunAs;
  /** Path of a `carnet --context` file for a leaf of this CSP. */
  readonly context: (who: 'operator' | 'scheduler' | 'auditor') => string;
};

const LEAVES = ['operator', 'scheduler', 'auditor'] as const;

/** Starts everything of one CSP as its own Unix user. What it needs of others: the bus and the federation's public certificates. */
export async function startCsp(options: CspOptions): Promise<Csp> {
  const { plan, root } = options;
  const as = runAs(plan.user);
  const paths = cspPaths(root, plan);
  for (const dir of [
    paths.home,
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
  options.prepare?.(plan, paths, as);
  installPki(options, paths, as);
  installBootImages(options.guest, paths, as);
  const [database, host, ports] = await Promise.all([
    startPostgres({ dir: paths.database, user: plan.user }),
    startHost({
      dir: paths.host,
      name: plan.domain,
      user: plan.user,
      hostUuid: plan.hostUuid,
      hook: fenceHook(options.code, paths.agentConfig),
    }),
    choosePorts(),
  ]);
  const facts: ConfigFacts = {
    ...options,
    paths,
    ports,
    databaseUrl: database.url,
    libvirtSocket: host.socket,
    swtpm: host.swtpm,
    ...(host.hooks === undefined ? {} : { hooks: host.hooks }),
    tmpfs: tmpfsFor(root, plan, as),
  };
  privateDir(paths.policy, as);
  for (const [name, text] of Object.entries(policyFiles(plan))) privateFile(join(paths.policy, name), text, as);
  privateFile(paths.brokerConfig, brokerConfigText(facts), as);
  privateFile(paths.agentConfig, agentConfigText(facts), as);
  for (const who of LEAVES) privateFile(paths.context(who), contextText(facts, who), as);
  const [broker, agent] = await Promise.all([
    startApp(options, as, 'broker', paths.brokerConfig, paths.brokerLog, () => isLive(ports.ops)),
    startApp(options, as, 'agent', paths.agentConfig, paths.agentLog, () => true),
  ]);
  return { plan, paths, ports, database, host, broker, agent, as, context: (who) => paths.context(who) };
}

/** The agent's configuration comes later: the hook reads it when it is asked. */
const fenceHook =
  (code: StagedCode, config: string): HookInstaller =>
  (dir) => {
    return [code.node, programOf(code.root, 'fence'), 'install', '--config', config, '--hooks', dir];
  };

function startApp(
  { code, plan, nodeOptions }: CspOptions,
  as: RunAs,
  app: 'broker' | 'agent',
  config: string,
  logFile: string,
  ready: () => Promise<boolean> | boolean,
): Promise<Daemon> {
  return startDaemon({
    name: `${app} of ${plan.domain}`,
    as,
    command: [code.node, programOf(code.root, app), '--config', config],
    env: nodeEnv(as, nodeOptions),
    cwd: '/',
    logFile,
    stopSignal: 'SIGTERM',
    ready,
  });
}

async function isLive(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/readyz`)).ok;
  } catch {
    return false;
  }
}

/** Four that nobody listens on. */
export async function choosePorts(): Promise<CspPorts> {
  return { http: await freePort(), tokens: await freePort(), ops: await freePort(), dataPath: await freePort() };
}

/** Keys, certificates and CRLs of this CSP only; the event key is made here and never leaves. */
function installPki({ pki, plan }: CspOptions, paths: CspPaths, as: RunAs): void {
  const take = (from: string, to: string, mode: number): void => {
    copyFileSync(from, to);
    chmodSync(to, mode);
    own(to, as);
  };
  take(join(pki, 'root.pem'), join(paths.pki, 'root.pem'), 0o644);
  for (const name of readdirSync(join(pki, 'crls'))) take(join(pki, 'crls', name), join(paths.crls, name), 0o644);
  for (const name of readdirSync(join(pki, plan.domain)))
    take(join(pki, plan.domain, name), join(paths.pki, name), name.endsWith('.key') ? 0o600 : 0o644);
  if (!existsSync(paths.eventKey))
    privateFile(
      paths.eventKey,
      generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      as,
    );
  if (!existsSync(paths.passphrase)) privateFile(paths.passphrase, randomBytes(32).toString('hex'), as);
}

/** The host's catalogue of boot images, named by SHA-256. */
function installBootImages(guest: Guest, paths: CspPaths, as: RunAs): void {
  for (const [file, name] of [
    [guest.kernel, guest.kernelSha256],
    [guest.initrd, guest.initrdSha256],
  ] as const) {
    const to = join(paths.boot, name);
    copyFileSync(file, to);
    own(to, as);
  }
}

/** Clear guest memory goes to RAM only; the directory outlives no process of ours. */
function tmpfsFor(root: string, plan: CspPlan, as: RunAs): string {
  const dir = join('/dev/shm', `${root.split('/').at(-1) ?? 'carnet'}-${plan.key}`);
  privateDir(dir, as);
  const remove = (): void => rmSync(dir, { recursive: true, force: true });
  hold({ name: dir, stop: async () => remove(), stopBlocking: remove });
  return dir;
}
