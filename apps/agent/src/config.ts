import { hostName, trustDomain } from '@carnet/events';
import { STEPS_AT_ONCE_DEFAULT } from '@carnet/hypervisor';
import { LOG_LEVELS } from '@carnet/runtime';
import { z } from 'zod';
import { interfaceName, network } from './migration-network.ts';

const path = z.string().startsWith('/');

/** The agent's configuration file (TOML). Secrets stand behind paths, never in it. */
export const agentConfig = z.strictObject({
  /** This CSP's trust domain, and this host's name in it. */
  domain: trustDomain,
  host: hostName,
  identity: z.strictObject({
    /** The agent's X.509 leaf and intermediate, PEM, leaf first. */
    certificateFile: path,
    keyFile: path,
  }),
  /** Where the leaf is renewed, after two thirds of its life; as for brokers. Absent: by other means. */
  renewal: z.strictObject({ url: z.string().startsWith('https://') }).optional(),
  trust: z.strictObject({
    rootFile: path,
    /** DER CRLs of the root and of every intermediate; read again when one changes. The broker tells newer ones. */
    crlDirectory: path,
    /** The broker’s leaf and intermediate, PEM: known from the start. A renewed one the broker tells by itself. */
    brokerCertificateFile: path,
  }),
  /** `url`: every server, with commas between; `serverName`: DNS name in their certificate; `domain`: of the bus, absent: the same. */
  bus: z.strictObject({
    url: z.string().regex(/^tls:\/\/[^\s,]+(,tls:\/\/[^\s,]+)*$/, 'expected tls://host:port, several with commas between'),
    serverName: trustDomain,
    domain: trustDomain.optional(),
  }),
  directories: z.strictObject({
    /** Fence register, step logs, leases: on a disk that keeps what was flushed, outside every backup that is ever restored. */
    state: path,
    volumes: path,
    /** A tmpfs with room for the memory of the largest VM. */
    tmpfs: path,
    /** The image store. */
    images: path,
    /** Where operators put files for `registerImage`. */
    imports: path,
    /** Kernels and initrds, named by their SHA-256. */
    boot: path,
  }),
  libvirt: z.strictObject({
    socket: path,
    uri: z.enum(['qemu:///session', 'qemu:///system']).default('qemu:///session'),
    /** Where that libvirtd looks for hooks; a warning says when ours is not there. */
    hooks: path.default('/etc/libvirt/hooks'),
    /** Where that libvirtd keeps the state of vTPMs: the agent copies, places and shreds it. */
    swtpm: path.default('/var/lib/libvirt/swtpm'),
  }),
  machine: z
    .strictObject({
      emulator: path.default('/usr/bin/qemu-system-x86_64'),
      /** `kvm` only where it was seen to boot a guest: a nested /dev/kvm may exist and be useless. */
      accelerator: z.enum(['tcg', 'kvm']).default('tcg'),
      qemuImg: path.default('/usr/bin/qemu-img'),
      qemuIo: path.default('/usr/bin/qemu-io'),
    })
    .prefault({}),
  /** The declared migration interface: where peers' agents fetch ciphertext. */
  dataPath: z.strictObject({
    /** Must have `address`; then connections are taken from its own networks, and peers dialled from it. Absent: any. */
    interface: interfaceName.optional(),
    address: z.string().default('127.0.0.1'),
    /** From where connections are taken, instead of the interface's own networks. */
    networks: z.array(network).min(1).readonly().optional(),
    port: z.int().min(0).max(65_535).default(0),
    /** DNS name in this agent's certificate. */
    serverName: z.string().min(1),
  }),
  /** What this host lends to VMs in all; absent: what the machine has. */
  limits: z.strictObject({ memoryMiB: z.int().min(1).optional(), volumeBytes: z.int().min(1).optional() }).prefault({}),
  stepsAtOnce: z.int().min(1).max(64).default(STEPS_AT_ONCE_DEFAULT),
  log: z.strictObject({ level: z.enum(LOG_LEVELS).default('info') }).prefault({}),
});
export type AgentConfig = z.infer<typeof agentConfig>;
