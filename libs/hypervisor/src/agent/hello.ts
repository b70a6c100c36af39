import { keysOf } from '@carnet/events';
import type { Hello } from '../command/report.ts';
import { uuidOf } from '../host-paths.ts';
import { capacityAt, dropExpired } from '../leases.ts';
import { fenceFactsOf } from '../steps/life.ts';
import { listVms } from '../vm-record.ts';
import type { Performer } from './perform.ts';

/** What the app knows and the lib does not: this run of the agent, and its keys. */
export type HelloFacts = Pick<Hello, 'agent' | 'publicKey' | 'chain'>;

/** What this host is now. Lost secrets are named here, so that one hello after libvirtd's return is enough. */
export async function makeHello({ self, ports, fence }: Performer, facts: HelloFacts): Promise<Hello> {
  const { hypervisor, files, paths, clock } = ports;
  const libvirt = hypervisor.connection();
  const domains = new Map((libvirt.connected ? await hypervisor.list() : []).map((domain) => [domain.uuid, domain]));
  const vms: Hello['vms'][number][] = [];
  const secretsMissing: Hello['secretsMissing'][number][] = [];
  // While libvirtd is away nothing is known of its domains, and nothing is said.
  for (const { vm, spec } of libvirt.connected ? await listVms(files, paths) : []) {
    const entry = await fence.read(vm);
    const state = domains.get(uuidOf(vm))?.state ?? 'absent';
    vms.push({ vm, state, ...(entry.ok && entry.value !== undefined ? { fence: fenceFactsOf(entry.value) } : {}) });
    if (state !== 'running' && state !== 'paused') continue;
    const needed = keysOf(spec);
    const held = await Promise.all(needed.map((key) => hypervisor.hasSecret(key)));
    const keys = needed.filter((_, i) => held[i] === false);
    if (keys.length > 0) secretsMissing.push({ vm, keys });
  }
  await dropExpired(ports, clock.now());
  return {
    kind: 'hello',
    ...self,
    ...facts,
    time: clock.now(),
    dataPath: ports.artifacts.dataPath(),
    capacity: await capacityAt(ports, clock.now()),
    libvirt,
    vms,
    secretsMissing,
  };
}
