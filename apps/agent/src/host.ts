import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Timestamp } from '@carnet/events';
import {
  createHostAgent,
  type HostAgent,
  type HostAgentOptions,
  type Log,
  libvirtHypervisor,
  nodeFiles,
  qemuVolumes,
  removeUnfinished,
} from '@carnet/hypervisor';
import { openImageStore } from '@carnet/images';
import { createHostKeyPair } from '@carnet/keys';
import type { LiveLeaf, TrustStore } from '@carnet/pki';
import { openArtifacts } from './artifacts.ts';
import type { KnownBroker } from './broker-keys.ts';
import { systemClock } from './clock.ts';
import type { AgentConfig } from './config.ts';
import { evidenceSigner } from './evidence.ts';
import { pathsOf } from './paths.ts';
import { permitsOnDisk } from './run-permits.ts';
import { secretOpener } from './secrets.ts';

export type Host = { readonly agent: HostAgent; close(): Promise<void> };

/** MemAvailable of proc_meminfo(5): what can be given to guests without swapping. MiB. */
async function memoryMiBFree(): Promise<number> {
  const line = /^MemAvailable:\s+(\d+) kB$/m.exec(await readFile('/proc/meminfo', 'utf8'))?.[1];
  return line === undefined ? 0 : Math.floor(Number(line) / 1_024);
}

/** Each hello carries the leaf of its moment: offers pin that one. */
export const helloFacts = (leaf: LiveLeaf, publicKey: string): HostAgentOptions['hello'] => ({
  agent: randomUUID(),
  publicKey,
  get chain() {
    return [...leaf.chain];
  },
});

/** The folders are there, and hold nothing that an agent which died was still writing. Before anything is read from them. */
export async function prepareFolders({ directories, libvirt }: AgentConfig, log: Pick<Log, 'info'>): Promise<void> {
  const { state, volumes, tmpfs } = directories;
  await nodeFiles.ensureDir(state);
  await nodeFiles.ensureDir(volumes);
  // Of libvirt's folder only what belongs to VMs that have volumes here: the rest is not ours.
  const vtpms = (await nodeFiles.list(volumes)).map((uuid) => join(libvirt.swtpm, uuid));
  const left = await Promise.all([state, volumes, tmpfs, ...vtpms].map(removeUnfinished));
  if (left.flat().length > 0) log.info({ files: left.flat() }, 'removed what the last agent was writing when it died');
}

/** Everything of this host but the bus: libvirtd, qemu-img, the data path, the disk. Usable in a test's own process. */
export async function openHost(
  config: AgentConfig,
  identity: LiveLeaf,
  store: () => TrustStore,
  broker: Pick<KnownBroker, 'keys' | 'chainOf'>,
  log: Log,
): Promise<Host> {
  const { directories, machine } = config;
  const now = (): Timestamp => systemClock.now();
  const paths = pathsOf(config);
  await prepareFolders(config, log);
  const imageStore = await openImageStore({ dir: directories.images, now });
  if (!imageStore.ok) throw new Error(`the image store does not open: ${imageStore.code}`);
  const transport = await createHostKeyPair();
  const artifacts = await openArtifacts({
    identity,
    store,
    now,
    imageStore: imageStore.value,
    dataPath: config.dataPath,
    sharesDir: join(directories.state, 'shares'),
    log,
  });
  const hypervisor = libvirtHypervisor({
    transport: { kind: 'unix', path: config.libvirt.socket },
    uri: config.libvirt.uri,
    machine,
    clock: systemClock,
    random: Math.random,
    log,
  });
  const agent = createHostAgent({
    domain: config.domain,
    host: config.host,
    stepsAtOnce: config.stepsAtOnce,
    hello: helloFacts(identity, transport.publicKey),
    ports: {
      hypervisor,
      volumes: qemuVolumes({ ...machine, tmpfsDir: directories.tmpfs }, log),
      artifacts,
      permits: permitsOnDisk({ self: { domain: config.domain, host: config.host }, files: nodeFiles, paths, broker, store }),
      files: nodeFiles,
      paths,
      openSecret: secretOpener(transport.privateKey),
      signEvidence: evidenceSigner(identity.current),
      memoryMiBFree,
      limits: config.limits,
      clock: systemClock,
      log,
    },
  });
  return {
    agent,
    close: async () => {
      await agent.close();
      await artifacts.close();
      await hypervisor.close();
      transport.privateKey.fill(0);
    },
  };
}
