import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, copyFileSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import {
  buildGuest,
  freePort,
  type Guest,
  type Host as Machine,
  privateDir,
  privateFile,
  programOf,
  runAs,
  scratch,
  stageCode,
  startHost,
} from '@carnet/dev';
import { type HostName, hostName, type TrustDomain, trustDomain, type VmSpec } from '@carnet/events';
import type { Log } from '@carnet/hypervisor';
import { createFederationPki, openLeaf, rememberedRsaKeys } from '@carnet/pki';
import type { Signer } from '@carnet/trust';
import { brokerKeys } from '../broker-keys.ts';
import { systemClock } from '../clock.ts';
import { type AgentConfig, agentConfig } from '../config.ts';
import { type Host, openHost } from '../host.ts';
import { openAgentTrust } from '../trust.ts';
import { brokerSigner, permitting } from './permitting.ts';
import { toToml } from './toml.ts';

export const A = { domain: trustDomain.parse('csp-a.example'), host: hostName.parse('a1') };
export const BUS = trustDomain.parse('bus.example');
export const B = { domain: trustDomain.parse('csp-b.example'), host: hostName.parse('b1') };

/** One real hypervisor host: libvirtd, and its agent in this process. */
export type RealHost = {
  readonly machine: Machine;
  readonly config: AgentConfig;
  readonly dir: string;
  /** The same configuration as a file, for libvirt's hook. */
  readonly configFile: string;
  agent: Host;
  reopen(): Promise<void>;
};

export type TwoHosts = {
  readonly a: RealHost;
  readonly b: RealHost;
  readonly guest: Guest;
  readonly pkiDir: string;
  /** Does something to a machine with the rights of whoever runs the test; the agents rest meanwhile. */
  asStarter<T>(work: () => Promise<T>): Promise<T>;
  stop(): Promise<void>;
};

const quiet: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** What the agent logs as a warning is shown when a test is being understood. */
const log: Log = process.env['CARNET_TEST_LOG'] === undefined ? quiet : { ...quiet, warn: print, error: print };
function print(fields: object, message: string): void {
  process.stderr.write(
    `${message} ${JSON.stringify(fields, (_, value: unknown) => (value instanceof Error ? String(value.stack) : value))}\n`,
  );
}

/**
 * Two hosts with certificates, guests' kernels and tmpfs. The agents run in this process under the hosts' own Unix user
 * (effective ids, until `stop`), because libvirtd and agent share files that no one else may read.
 */
export async function startTwoHosts(): Promise<TwoHosts> {
  const root = scratch('hv');
  const as = runAs();
  const tmpfs = `/dev/shm/carnet-test-${process.pid}`;
  const pkiDir = join(root, 'pki');
  await createPki(pkiDir);
  const guest = buildGuest({ dir: join(root, 'guest') });
  const code = stageCode();
  const fence = programOf(code.root, 'fence');
  const machines = await Promise.all(
    [A, B].map((side, i) =>
      startHost({
        dir: join(root, side.host),
        name: side.host,
        user: as.identity.name,
        hostUuid: `0000000${i + 1}-aaaa-4bbb-8ccc-00000000000${i + 1}`,
        hook: (hooks) => [code.node, fence, 'install', '--config', configFileOf(join(root, side.host)), '--hooks', hooks],
      }),
    ),
  );
  const [machineA, machineB] = machines;
  if (machineA === undefined || machineB === undefined) throw new Error('expected two machines');
  privateDir(tmpfs, as);
  const prepared = [
    prepare(A, machineA, pkiDir, tmpfs, guest, await freePort()),
    prepare(B, machineB, pkiDir, tmpfs, guest, await freePort()),
  ] as const;
  const signers = [brokerSigner(pkiDir, A.domain), brokerSigner(pkiDir, B.domain)] as const;
  const back = becomeUser(as.identity);
  const [a, b] = [await open(prepared[0], machineA, signers[0]), await open(prepared[1], machineB, signers[1])];
  return {
    a,
    b,
    guest,
    pkiDir,
    asStarter: async (work) => {
      const becomeAgain = becomeStarter(as.identity);
      try {
        return await work();
      } finally {
        becomeAgain();
      }
    },
    stop: async () => {
      await a.agent.close();
      await b.agent.close();
      back();
      await machineA.stop();
      await machineB.stop();
      rmSync(tmpfs, { recursive: true, force: true });
    },
  };
}

const configFileOf = (hostDir: string): string => join(hostDir, 'agent', 'agent.toml');

/** Certificates of both CSPs and the bus. RSA keys are remembered between runs: making one takes 0.3 s. */
export const createPki = (dir: string): Promise<unknown> =>
  createFederationPki({
    dir,
    domains: [
      { domain: A.domain, hosts: [A.host] },
      { domain: B.domain, hosts: [B.host] },
    ],
    busDomain: BUS,
    nowMs: Date.now(),
    random: randomBytes,
    keys: rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`)),
  });

/** The other way round, for a while. */
function becomeStarter(identity: Parameters<typeof becomeUser>[0]): () => void {
  if (!identity.switched) return () => undefined;
  process.seteuid?.(0);
  process.setegid?.(0);
  return () => {
    becomeUser(identity);
  };
}

/** Effective ids only: the real ones stay, and with them the right to stop the daemons. */
function becomeUser({
  uid,
  gid,
  switched,
}: {
  readonly uid: number;
  readonly gid: number;
  readonly switched: boolean;
}): () => void {
  if (!switched) return () => undefined;
  process.setegid?.(gid);
  process.seteuid?.(uid);
  return () => {
    process.seteuid?.(0);
    process.setegid?.(0);
  };
}

export function prepare(
  side: { readonly domain: TrustDomain; readonly host: HostName },
  machine: Machine,
  pkiDir: string,
  tmpfs: string,
  guest: Guest,
  dataPort: number,
): AgentConfig {
  const { as } = machine;
  const dir = privateDir(join(machine.dirs.root, 'agent'), as);
  const sub = (name: string): string => privateDir(join(dir, name), as);
  const identity = sub('identity');
  for (const name of [`agent-${side.host}.key`, `agent-${side.host}.pem`, 'broker.pem']) {
    const copy = join(identity, name);
    copyFileSync(join(pkiDir, side.domain, name), copy);
    chmodSync(copy, 0o600);
    if (as.identity.switched) chownSync(copy, as.identity.uid, as.identity.gid);
  }
  const boot = sub('boot');
  copyFileSync(guest.kernel, join(boot, guest.kernelSha256));
  copyFileSync(guest.initrd, join(boot, guest.initrdSha256));
  for (const name of [guest.kernelSha256, guest.initrdSha256]) chmodSync(join(boot, name), 0o644);
  return agentConfig.parse({
    ...side,
    identity: { certificateFile: join(identity, `agent-${side.host}.pem`), keyFile: join(identity, `agent-${side.host}.key`) },
    trust: {
      rootFile: join(pkiDir, 'root.pem'),
      crlDirectory: join(pkiDir, 'crls'),
      brokerCertificateFile: join(identity, 'broker.pem'),
    },
    bus: { url: 'tls://127.0.0.1:4222', serverName: BUS },
    directories: {
      state: sub('state'),
      volumes: sub('volumes'),
      tmpfs: privateDir(join(tmpfs, side.host), as),
      images: sub('images'),
      imports: sub('imports'),
      boot,
    },
    libvirt: { socket: machine.socket },
    dataPath: { address: '127.0.0.1', port: dataPort, serverName: `${side.host}.${side.domain}` },
  });
}

async function open(config: AgentConfig, machine: Machine, signer: Signer): Promise<RealHost> {
  const make = async (): Promise<Host> => {
    const store = openAgentTrust(config, Date.now);
    const broker = brokerKeys(config.trust.brokerCertificateFile, config.domain, store, () => systemClock.now());
    const host = await openHost(config, openLeaf(config.identity, Date.now), store, broker, log);
    return { ...host, agent: permitting(host.agent, signer) };
  };
  const configFile = configFileOf(machine.dirs.root);
  privateFile(configFile, toToml(config), machine.as);
  const host: RealHost = {
    machine,
    config,
    dir: config.directories.volumes,
    configFile,
    agent: await make(),
    reopen: async () => {
      await host.agent.close();
      host.agent = await make();
    },
  };
  return host;
}

/** A VM of the tiny guest. */
export const guestSpec = (guest: Guest, disk: VmSpec['disks'][number]): unknown => ({
  name: 'demo',
  vcpus: 1,
  memoryMiB: 256,
  machine: 'pc-q35-7.2',
  cpuModel: 'qemu64',
  boot: { kind: 'kernel', kernel: guest.kernelSha256, initrd: guest.initrdSha256, cmdline: guest.commandLine },
  disks: [disk],
});
