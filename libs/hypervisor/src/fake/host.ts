import type { HostName, TrustDomain } from '@carnet/events';
import { createHostAgent, type HostAgent, type HostAgentOptions } from '../agent/host-agent.ts';
import { refused } from '../codes.ts';
import { sha256 } from '../digest.ts';
import { hostPaths } from '../host-paths.ts';
import { done, setBack } from '../outcome.ts';
import type { Clock, EvidenceSigner, HostPorts, Log, SecretOpener } from '../ports/host-ports.ts';
import { type FakeArtifacts, type FakeNetwork, fakeArtifacts, fakeNetwork } from './artifacts.ts';
import { type FaultPlan, withFaults } from './faults.ts';
import { type FakeHypervisor, fakeHypervisor } from './hypervisor.ts';
import { type MemoryFiles, memoryFiles } from './memory-files.ts';
import { type FakePermits, fakePermits } from './run-permits.ts';
import { fakeVolumes } from './volumes.ts';

export type FakeHostOptions = {
  readonly domain: TrustDomain;
  readonly host: HostName;
  readonly clock: Clock;
  /** Hosts that shall reach each other share one. */
  readonly network?: FakeNetwork;
  /** A random UUID and the certificate chain of this agent. */
  readonly hello?: Partial<HostAgentOptions['hello']>;
  /** Default: `sealed` is the plain key in base64. */
  readonly openSecret?: SecretOpener;
  /** Default: an envelope with a signature of zeros. */
  readonly signEvidence?: EvidenceSigner;
  readonly faults?: FaultPlan;
  readonly limits?: HostPorts['limits'];
  readonly memoryMiBFree?: number;
  readonly volumeBytesFree?: number;
  readonly replyWithinMs?: number;
  readonly stepsAtOnce?: number;
  /** Folders that count as tmpfs; default: the host's tmpfs folder. */
  readonly tmpfs?: readonly string[];
  readonly log?: Log;
};

export type FakeHost = {
  readonly agent: HostAgent;
  readonly ports: HostPorts;
  readonly hypervisor: FakeHypervisor;
  readonly files: MemoryFiles;
  readonly permits: FakePermits;
  readonly artifacts: FakeArtifacts;
  /** SHA-256 that stands for the agent's leaf on the fake network. */
  readonly leaf: ReturnType<typeof sha256>;
  /** Guests are off, tmpfs is empty, libvirt's secrets are gone; disks stay. Whoever asked for it ends the agent, and starts another. */
  losePower(): Promise<void>;
  /** A fresh agent over the same disk and the same guests: what a crash and a restart leave. */
  restart(): HostAgent;
};

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const KEY_BYTES = 32;

const plainSecret: SecretOpener = async ({ sealed }) => {
  const key = Buffer.from(sealed, 'base64');
  return key.length === KEY_BYTES ? done(key) : setBack(refused('SECRET_REFUSED'));
};

const unsigned: EvidenceSigner = (evidence) => ({
  payloadType: 'application/vnd.carnet.evidence.v1+json',
  payload: Buffer.from(JSON.stringify(evidence)).toString('base64'),
  signatures: [{ keyid: 'fake', sig: Buffer.alloc(KEY_BYTES).toString('base64') }],
});

/** Stands for the hello's `agent` when a test does not care which run of the agent it speaks to. */
const AGENT_RUN = '00000000-0000-4000-8000-000000000001';

/** A whole host in memory, behind the same commands as a real one: for tests of brokers, and one side of the contract suite. */
export function fakeHost(options: FakeHostOptions): FakeHost {
  const { domain, host, clock } = options;
  const paths = hostPaths({ stateDir: '/s', volumesDir: '/v', tmpfsDir: '/t', bootDir: '/b', importDir: '/i', vtpmDir: '/p' });
  const files = memoryFiles({
    tmpfs: options.tmpfs ?? ['/t'],
    ...(options.volumeBytesFree === undefined ? {} : { freeBytes: options.volumeBytesFree }),
  });
  const hypervisor = fakeHypervisor(files);
  const permits = fakePermits();
  const leaf = sha256(`leaf of ${domain}/${host}`);
  const artifacts = fakeArtifacts({ files, network: options.network ?? fakeNetwork(), leaf });
  const plan = options.faults ?? (() => undefined);
  const ports: HostPorts = {
    hypervisor: withFaults('hypervisor', hypervisor, plan),
    volumes: withFaults('volumes', fakeVolumes(files), plan),
    artifacts: withFaults('artifacts', artifacts, plan),
    permits: withFaults('permits', permits, plan),
    files: withFaults('files', files, plan),
    paths,
    openSecret: options.openSecret ?? plainSecret,
    signEvidence: options.signEvidence ?? unsigned,
    memoryMiBFree: async () => options.memoryMiBFree ?? 65_536,
    limits: options.limits ?? {},
    clock,
    log: options.log ?? silent,
  };
  const hello = { agent: AGENT_RUN, publicKey: '', chain: [''], ...options.hello };
  const { replyWithinMs, stepsAtOnce } = options;
  const paces = {
    ...(replyWithinMs === undefined ? {} : { replyWithinMs }),
    ...(stepsAtOnce === undefined ? {} : { stepsAtOnce }),
  };
  const restart = (): HostAgent => createHostAgent({ domain, host, ports, hello, ...paces });
  let agent = restart();
  return {
    get agent() {
      return agent;
    },
    ports,
    hypervisor,
    files,
    permits,
    artifacts,
    leaf,
    losePower: async () => {
      hypervisor.losePower();
      for (const dir of options.tmpfs ?? ['/t']) await files.remove(dir);
    },
    restart: () => {
      agent = restart();
      return agent;
    },
  };
}
