import type { KeyId } from '@carnet/events';
import { failed, HostError } from '../codes.ts';
import { sha256 } from '../digest.ts';
import type { HostFiles } from '../ports/files.ts';
import type { Hypervisor } from '../ports/hypervisor.ts';
import { SAVED_STATE_HEAD_BYTES } from '../saved-state.ts';
import { fakeDisks } from './disks.ts';
import { disksOf, type FakeGuests, type FakeMemory, fakeGuests, live, startVtpm } from './guests.ts';

export type FakeHypervisor = Hypervisor & {
  /** What a restart of libvirtd does: guests live on, ephemeral secrets are gone. */
  restartDaemon(): void;
  /** What a host without power does to its guests and to what libvirtd has in memory. Nobody is left to be told. */
  losePower(): void;
  /** What the end of every QEMU process does: guests are off, and libvirt says so. */
  endGuests(): void;
  /** Keys whose secrets libvirt has now. */
  secretKeys(): readonly KeyId[];
  /** What a copy that fails does: it is gone, and the guest stays where it was. */
  endCopies(uuid: string): void;
  /** The guest as its console would show it. */
  guest(uuid: string): FakeMemory | undefined;
  /** Every uuid whose vCPUs were ever let go here: for tests of "never both". */
  ran(): readonly string[];
  /** Every uuid whose memory met disks that had moved on since it was saved: a guest would write old caches over them. */
  stale(): readonly string[];
};

/** A hypervisor in memory, strict where libvirt is: a wrong key, a missing secret or an absent domain fails. */
export function fakeHypervisor(files: HostFiles): FakeHypervisor {
  const guests = fakeGuests(files);
  const { domains, secrets, listeners, ran, stale, tell } = guests;
  return {
    restartDaemon: () => {
      secrets.clear();
      tell(undefined, 'libvirt-lost', 'CONNECTION_LOST');
      tell(undefined, 'libvirt-back');
    },
    losePower: () => {
      secrets.clear();
      listeners.clear();
      for (const domain of domains.values()) if (domain.state !== 'shutoff') guests.off(domain, 'unknown');
    },
    endGuests: () => {
      for (const domain of domains.values()) if (domain.state !== 'shutoff') guests.off(domain, 'crashed');
    },
    secretKeys: () => [...secrets.keys()],
    endCopies: (uuid) => domains.get(uuid)?.copies.clear(),
    guest: (uuid) => domains.get(uuid)?.memory,
    ran: () => ran,
    stale: () => stale,
    connection: () => ({ connected: true, version: '0.0.0-fake' }),
    close: async () => listeners.clear(),
    subscribe: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    putSecret: async ({ key, value }) => void secrets.set(key, sha256(value)),
    dropSecret: async (key) => void secrets.delete(key),
    hasSecret: async (key) => secrets.has(key),
    ...definitions(guests),
    ...lives(guests),
  };
}

type Definitions = Pick<Hypervisor, 'find' | 'list' | 'define' | 'undefine' | 'autostartOff'>;

const definitions = (guests: FakeGuests): Definitions => ({
  find: async (uuid) => {
    const domain = guests.domains.get(uuid);
    if (domain === undefined) return undefined;
    await live(guests, domain);
    return { uuid, state: domain.state, reason: domain.reason, autostart: false, vcpuTimeMs: domain.vcpuTimeMs };
  },
  list: async () =>
    [...guests.domains].map(([uuid, { state, reason, vcpuTimeMs }]) => ({ uuid, state, reason, autostart: false, vcpuTimeMs })),
  define: async (definition) => {
    const { uuid } = definition;
    const known = guests.domains.get(uuid);
    if (known !== undefined) known.definition = definition;
    else
      guests.domains.set(uuid, {
        definition,
        state: 'shutoff',
        reason: 'unknown',
        vcpuTimeMs: 0,
        memory: undefined,
        copies: new Map(),
      });
    guests.tell(uuid, 'defined');
  },
  undefine: async (uuid) => {
    if (guests.domains.delete(uuid)) guests.tell(uuid, 'undefined');
  },
  autostartOff: async () => undefined,
});

type Lives = Omit<
  Hypervisor,
  keyof Definitions | 'connection' | 'close' | 'subscribe' | 'putSecret' | 'dropSecret' | 'hasSecret'
>;

function lives(guests: FakeGuests): Lives {
  let boots = 0;
  return {
    startHeld: async (uuid) => {
      const domain = guests.must(uuid, 'shutoff', 'crashed');
      await guests.openDisks(domain);
      await startVtpm(guests, domain);
      boots += 1;
      domain.memory = { boot: sha256(`${uuid} ${boots}`).slice(0, 12), ticks: 0 };
      domain.vcpuTimeMs = 0;
      guests.become(domain, 'paused', 'starting-up', 'started');
    },
    restoreHeld: async (statePath, definition) => {
      const domain = guests.must(definition.uuid, 'shutoff', 'crashed');
      const saved = (await guests.files.read(statePath))?.subarray(SAVED_STATE_HEAD_BYTES).toString('utf8');
      const [uuid, boot, ticks, disks] = saved?.split(' ') ?? [];
      if (uuid !== definition.uuid || boot === undefined)
        throw new HostError(failed('LIBVIRT_FAILED', 'Another guest’s memory.'));
      domain.definition = definition;
      await guests.openDisks(domain);
      await startVtpm(guests, domain);
      if (disks !== (await disksOf(guests, definition))) guests.stale.push(uuid);
      domain.memory = { boot, ticks: Number(ticks) };
      domain.vcpuTimeMs = 0;
      guests.become(domain, 'paused', 'restored', 'started');
    },
    unpause: async (uuid) => {
      const domain = guests.must(uuid, 'paused');
      guests.ran.push(uuid);
      guests.become(domain, 'running', 'unpaused', 'resumed');
    },
    pause: async (uuid) => {
      const domain = guests.must(uuid, 'running', 'paused');
      if (domain.state === 'running') guests.become(domain, 'paused', 'user', 'paused');
    },
    ...fakeDisks(guests),
    requestShutdown: async (uuid) => {
      const domain = guests.domains.get(uuid);
      if (domain?.state === 'running') guests.off(domain, 'shutdown');
    },
    powerOff: async (uuid) => {
      const domain = guests.domains.get(uuid);
      if (domain !== undefined && domain.state !== 'shutoff') guests.off(domain, 'destroyed');
    },
    save: async (uuid, statePath) => {
      const domain = guests.must(uuid, 'running', 'paused');
      const head = Buffer.alloc(SAVED_STATE_HEAD_BYTES);
      head.write('LibvirtQemudSave', 'latin1');
      head.writeUInt32LE(2, 16);
      await guests.files.write(
        statePath,
        Buffer.concat([
          head,
          Buffer.from(`${uuid} ${domain.memory?.boot} ${domain.memory?.ticks} ${await disksOf(guests, domain.definition)}`),
        ]),
      );
      guests.off(domain, 'saved');
    },
  };
}
