import { execFileSync, spawnSync } from 'node:child_process';
import { eventually, type Federation, hold, privateDir, type RunAs, startFederation } from '@carnet/dev';
import { CSP_A, CSP_B, type CspPaths } from '../../../infra/dev/src/clouds/layout.ts';
import { must } from '../harness/moves.ts';
import { type RealSide, realSide, tickAfter } from '../harness/real-side.ts';
import { DISKS, type Disk } from './matrix.ts';
import { type Network, openNetwork } from './network.ts';

/** Both clouds, the wires to their bus, and the one VM that goes there and back. */
export type World = {
  readonly federation: Federation;
  readonly network: Network;
  readonly a: RealSide;
  readonly b: RealSide;
  readonly vm: string;
  readonly uuid: string;
  readonly stop: () => Promise<void>;
};

const DISK_BYTES = 8_388_608;
const GUEST_MEMORY_MIB = 256;
const UP_MS_MAX = 120_000;
/** A cloud's disks, small enough to be filled at once: room for the VM at both ends of a move, and for a database and its backup. */
const DISK_SIZES: Readonly<Record<Disk, string>> = { volumes: '512m', agentState: '64m', brokerState: '64m', database: '1536m' };

export async function openWorld(network: Network): Promise<World> {
  const federation = await startFederation({
    logLevel: 'debug',
    busNetwork: network,
    nodeOptions: `--import=${import.meta.dirname}/clock.mjs`,
    prepare: (_plan, paths, as) => mountDisks(paths, as),
  });
  const [a, b] = [realSide(federation.a), realSide(federation.b)];
  const stop = async (): Promise<void> => {
    for (const side of [a, b]) {
      await side.watch.close();
      side.api.close();
    }
    await federation.stop();
  };
  try {
    await eventually('hosts that are up', async () => ((await areUp([a, b])) ? true : undefined), UP_MS_MAX);
    const vm = await createVm(federation, a);
    const uuid = vm.split('/')[1] ?? '';
    await tickAfter(a, uuid, undefined);
    return { federation, network, a, b, vm, uuid, stop };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

export const openWires = (): Promise<Network> => openNetwork([CSP_A, CSP_B]);

/** A peer of which nothing was heard yet is one with whom nothing was begun. */
const READY: ReadonlySet<string> = new Set(['ready', 'silent']);

type Rows = { readonly items: readonly { readonly state: string }[] };

/** Every host is up and every peer ready: the last run's fault is over. */
export async function areUp(sides: readonly RealSide[]): Promise<boolean> {
  for (const { api } of sides) {
    const [hosts, peers] = [await api.get<Rows>('/v1/hosts'), await api.get<Rows>('/v1/peers')];
    if (!hosts.ok || !peers.ok) return false;
    if (!hosts.value.items.some(({ state }) => state === 'up')) return false;
    if (!peers.value.items.every(({ state }) => READY.has(state))) return false;
  }
  return true;
}

async function createVm({ guest }: Federation, { api }: RealSide): Promise<string> {
  const boot = { kind: 'kernel', kernel: guest.kernelSha256, initrd: guest.initrdSha256, cmdline: guest.commandLine };
  const body = {
    name: 'walker',
    capacityBytes: DISK_BYTES,
    vcpus: 1,
    memoryMiB: GUEST_MEMORY_MIB,
    boot,
    start: true,
    vtpm: true,
  };
  // Not `post`: a request that a busy machine answers late is repeated, and a second VM of that name is refused.
  return must(await api.act<{ readonly vm: string }>('POST', '/v1/vms', body)).vm;
}

/** In this process's own mount namespace, so that they go with it at the latest. */
function mountDisks(paths: CspPaths, as: RunAs): void {
  const { uid, gid } = as.identity;
  for (const disk of DISKS) {
    const dir = privateDir(paths[disk], as);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_SIZES[disk]},mode=700,uid=${uid},gid=${gid}`, 'carnet-faults', dir]);
    // Whoever is interrupted while it stops comes here twice; what is not mounted any more is no mistake.
    const unmount = (): void => void spawnSync('umount', ['--lazy', dir]);
    hold({ name: dir, stop: async () => unmount(), stopBlocking: unmount });
  }
}
