import type { KeyId } from '@carnet/events';
import { failed, HostError } from '../codes.ts';
import type { VmState } from '../command/result.ts';
import { sha256 } from '../digest.ts';
import type { HostFiles } from '../ports/files.ts';
import type { DomainDefinition, DomainNotice, Hypervisor } from '../ports/hypervisor.ts';
import { SAVED_STATE_HEAD_BYTES } from '../saved-state.ts';
import { readFakeVolume, writeFakeVolume } from './volumes.ts';

type FakeDomain = {
  definition: DomainDefinition;
  state: VmState;
  reason: string;
  vcpuTimeMs: number;
  /** The guest's memory: a boot and a counter, as the tiny guest of the real tests has them. */
  memory: { readonly boot: string; readonly ticks: number } | undefined;
};

export type FakeHypervisor = Hypervisor & {
  /** What a restart of libvirtd does: guests live on, ephemeral secrets are gone. */
  restartDaemon(): void;
  /** The guest as its console would show it. */
  guest(uuid: string): { readonly boot: string; readonly ticks: number } | undefined;
  /** Every uuid whose vCPUs were ever let go here: for tests of "never both". */
  ran(): readonly string[];
};

/** Processor time that a running guest gains between two looks, in milliseconds. */
const LOOK_MS = 130;

/** A hypervisor in memory, strict where libvirt is: a wrong key, a missing secret or an absent domain fails. */
export function fakeHypervisor(files: HostFiles): FakeHypervisor {
  const domains = new Map<string, FakeDomain>();
  const secrets = new Map<KeyId, string>();
  const listeners = new Set<(notice: DomainNotice) => void>();
  const ran: string[] = [];
  let boots = 0;

  const tell = (uuid: string | undefined, event: DomainNotice['event'], detail = ''): void => {
    for (const listener of listeners) listener({ uuid, event, detail });
  };
  const must = (uuid: string, ...states: readonly VmState[]): FakeDomain => {
    const domain = domains.get(uuid);
    if (domain === undefined || !states.includes(domain.state))
      throw new HostError(failed('LIBVIRT_FAILED', `Domain is ${domain?.state ?? 'absent'}.`));
    return domain;
  };
  const openDisks = async ({ definition }: FakeDomain): Promise<void> => {
    for (const { path, key } of definition.disks) {
      const volume = await readFakeVolume(files, path);
      if (volume === undefined || secrets.get(key) !== volume.passphrase)
        throw new HostError(failed('LIBVIRT_FAILED', 'A disk does not open.'));
    }
  };
  const become = (domain: FakeDomain, state: VmState, reason: string, event: DomainNotice['event']): void => {
    domain.state = state;
    domain.reason = reason;
    tell(domain.definition.uuid, event, reason);
  };
  /** Time passes when somebody looks: the guest counts, prints and writes its marker. */
  const live = async (domain: FakeDomain): Promise<void> => {
    if (domain.state !== 'running' || domain.memory === undefined) return;
    domain.vcpuTimeMs += LOOK_MS;
    domain.memory = { ...domain.memory, ticks: domain.memory.ticks + 1 };
    const line = `boot=${domain.memory.boot} n=${domain.memory.ticks}`;
    await files.append(domain.definition.consolePath, Buffer.from(`TICK ${line}\n`));
    for (const { path } of domain.definition.disks.slice(0, 1)) {
      const volume = await readFakeVolume(files, path);
      if (volume !== undefined) await writeFakeVolume(files, path, { ...volume, marker: line });
    }
  };
  const off = (domain: FakeDomain, reason: string): void => {
    domain.memory = undefined;
    become(domain, 'shutoff', reason, 'stopped');
  };

  return {
    restartDaemon: () => {
      secrets.clear();
      tell(undefined, 'libvirt-lost', 'CONNECTION_LOST');
      tell(undefined, 'libvirt-back');
    },
    guest: (uuid) => domains.get(uuid)?.memory,
    ran: () => ran,
    connection: () => ({ connected: true, version: '0.0.0-fake' }),
    close: async () => listeners.clear(),
    subscribe: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    find: async (uuid) => {
      const domain = domains.get(uuid);
      if (domain === undefined) return undefined;
      await live(domain);
      return { uuid, state: domain.state, reason: domain.reason, autostart: false, vcpuTimeMs: domain.vcpuTimeMs };
    },
    list: async () =>
      [...domains].map(([uuid, { state, reason, vcpuTimeMs }]) => ({ uuid, state, reason, autostart: false, vcpuTimeMs })),
    define: async (definition) => {
      const known = domains.get(definition.uuid);
      if (known !== undefined) known.definition = definition;
      else domains.set(definition.uuid, { definition, state: 'shutoff', reason: 'unknown', vcpuTimeMs: 0, memory: undefined });
      tell(definition.uuid, 'defined');
    },
    undefine: async (uuid) => {
      if (domains.delete(uuid)) tell(uuid, 'undefined');
    },
    autostartOff: async () => undefined,
    startHeld: async (uuid) => {
      const domain = must(uuid, 'shutoff', 'crashed');
      await openDisks(domain);
      boots += 1;
      domain.memory = { boot: sha256(`${uuid} ${boots}`).slice(0, 12), ticks: 0 };
      domain.vcpuTimeMs = 0;
      become(domain, 'paused', 'starting-up', 'started');
    },
    restoreHeld: async (statePath, definition) => {
      const domain = must(definition.uuid, 'shutoff', 'crashed');
      const saved = (await files.read(statePath))?.subarray(SAVED_STATE_HEAD_BYTES).toString('utf8');
      const [uuid, boot, ticks] = saved?.split(' ') ?? [];
      if (uuid !== definition.uuid || boot === undefined)
        throw new HostError(failed('LIBVIRT_FAILED', 'Another guest’s memory.'));
      domain.definition = definition;
      await openDisks(domain);
      domain.memory = { boot, ticks: Number(ticks) };
      domain.vcpuTimeMs = 0;
      become(domain, 'paused', 'restored', 'started');
    },
    unpause: async (uuid) => {
      const domain = must(uuid, 'paused');
      ran.push(uuid);
      become(domain, 'running', 'unpaused', 'resumed');
    },
    requestShutdown: async (uuid) => {
      const domain = domains.get(uuid);
      if (domain?.state === 'running') off(domain, 'shutdown');
    },
    powerOff: async (uuid) => {
      const domain = domains.get(uuid);
      if (domain !== undefined && domain.state !== 'shutoff') off(domain, 'destroyed');
    },
    save: async (uuid, statePath) => {
      const domain = must(uuid, 'running', 'paused');
      const head = Buffer.alloc(SAVED_STATE_HEAD_BYTES);
      head.write('LibvirtQemudSave', 'latin1');
      head.writeUInt32LE(2, 16);
      await files.write(statePath, Buffer.concat([head, Buffer.from(`${uuid} ${domain.memory?.boot} ${domain.memory?.ticks}`)]));
      off(domain, 'saved');
    },
    putSecret: async ({ key, value }) => void secrets.set(key, sha256(value)),
    dropSecret: async (key) => void secrets.delete(key),
    hasSecret: async (key) => secrets.has(key),
  };
}
