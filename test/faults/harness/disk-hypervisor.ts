import { createHash, randomUUID } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DomainDefinition, type DomainNotice, failed, HostError, type HostFiles, type Hypervisor } from '@carnet/hypervisor';
import { SAVED_STATE_HEAD_BYTES } from '../../../libs/hypervisor/src/saved-state.ts';
import { readVolume, writeVolume } from './disk-volumes.ts';

type State = 'running' | 'paused' | 'shutoff';

/** A pretended domain as it lies on disk. `memory`: the guest's own boot id and counter, gone when it is off. */
export type DiskDomain = {
  readonly definition: DomainDefinition;
  readonly state: State;
  readonly reason: string;
  readonly vcpuTimeMs: number;
  readonly memory: { readonly boot: string; readonly ticks: number } | null;
};

/** What was done to a domain, in order: tests count these. */
export type Effect = {
  readonly at: string;
  readonly uuid: string;
  readonly effect: 'run' | 'restore' | 'boot' | 'save' | 'off' | 'define' | 'undefine';
};

/** Processor time that a running guest gains between two looks. */
const LOOK_MS = 130;
const SMALL_BYTES = 65_536;
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The records of one pretended host, readable by the test while the agent is dead. */
export function diskRecords(dir: string) {
  const domains = join(dir, 'domains');
  const secrets = join(dir, 'secrets');
  const effects = join(dir, 'effects.jsonl');
  for (const each of [domains, secrets]) mkdirSync(each, { recursive: true });
  const fileOf = (uuid: string): string => join(domains, `${uuid}.json`);
  const uuids = (): readonly string[] =>
    readdirSync(domains).flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -'.json'.length)] : []));
  return {
    secrets,
    domain: (uuid: string): DiskDomain | undefined =>
      existsSync(fileOf(uuid)) ? (JSON.parse(readFileSync(fileOf(uuid), 'utf8')) as DiskDomain) : undefined,
    uuids,
    effects: (): readonly Effect[] =>
      existsSync(effects)
        ? readFileSync(effects, 'utf8')
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line) as Effect)
        : [],
    /** Whole or not at all, also under kill -9; and synchronous, so that an effect and its record are one. */
    put: (uuid: string, domain: DiskDomain): void => {
      const partial = `${fileOf(uuid)}.${randomUUID()}`;
      writeFileSync(partial, JSON.stringify(domain));
      renameSync(partial, fileOf(uuid));
    },
    drop: (uuid: string): void => rmSync(fileOf(uuid), { force: true }),
    note: (uuid: string, effect: Effect['effect']): void =>
      appendFileSync(effects, `${JSON.stringify({ at: new Date().toISOString(), uuid, effect })}\n`),
  };
}

/**
 * A hypervisor whose guests live on disk: they outlive their agent, as QEMU processes do. Strict where libvirt is: a wrong
 * key, a missing secret or an absent domain fails.
 */
export function diskHypervisor(dir: string, files: HostFiles): Hypervisor {
  const records = diskRecords(dir);
  const listeners = new Set<(notice: DomainNotice) => void>();
  const tell = (uuid: string, event: DomainNotice['event'], detail = ''): void => {
    for (const listener of listeners) listener({ uuid, event, detail });
  };
  const must = (uuid: string, ...states: readonly State[]): DiskDomain => {
    const domain = records.domain(uuid);
    if (domain === undefined || !states.includes(domain.state))
      throw new HostError(failed('LIBVIRT_FAILED', `Domain is ${domain?.state ?? 'absent'}.`));
    return domain;
  };
  const secretFile = (key: string): string => join(records.secrets, key);
  const openDisks = async ({ disks }: DomainDefinition): Promise<void> => {
    for (const { path, key } of disks) {
      const volume = await readVolume(files, path);
      const held = existsSync(secretFile(key)) ? readFileSync(secretFile(key), 'utf8') : undefined;
      if (volume === undefined || held === undefined || !volume.slots.includes(held))
        throw new HostError(failed('LIBVIRT_FAILED', 'A disk does not open.'));
    }
  };
  /** Time passes when somebody looks: the guest counts, prints and writes its marker. */
  const live = async (uuid: string, domain: DiskDomain): Promise<DiskDomain> => {
    if (domain.state !== 'running' || domain.memory === null) return domain;
    const memory = { ...domain.memory, ticks: domain.memory.ticks + 1 };
    const lived = { ...domain, vcpuTimeMs: domain.vcpuTimeMs + LOOK_MS, memory };
    records.put(uuid, lived);
    const line = `boot=${memory.boot} n=${memory.ticks}`;
    appendFileSync(domain.definition.consolePath, `TICK ${line}\n`);
    const [first] = domain.definition.disks;
    // A volume that a test made large keeps its bytes: its guest only reads.
    const isSmall = first !== undefined && ((await files.size(first.path)) ?? 0) < SMALL_BYTES;
    const volume = first !== undefined && isSmall ? await readVolume(files, first.path) : undefined;
    if (first !== undefined && volume !== undefined) await writeVolume(files, first.path, { ...volume, marker: line });
    return lived;
  };
  const off = (uuid: string, domain: DiskDomain, reason: string, effect: Effect['effect']): void => {
    records.put(uuid, { ...domain, state: 'shutoff', reason, memory: null });
    records.note(uuid, effect);
    tell(uuid, 'stopped', reason);
  };
  const held = (uuid: string, domain: DiskDomain, memory: DiskDomain['memory'], effect: 'boot' | 'restore'): void => {
    records.put(uuid, { ...domain, state: 'paused', reason: effect, vcpuTimeMs: 0, memory });
    records.note(uuid, effect);
    tell(uuid, 'started');
  };

  return {
    connection: () => ({ connected: true, version: '0.0.0-fake' }),
    close: async () => listeners.clear(),
    subscribe: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    find: async (uuid) => {
      const domain = records.domain(uuid);
      if (domain === undefined) return undefined;
      const { state, reason, vcpuTimeMs } = await live(uuid, domain);
      return { uuid, state, reason, autostart: false, vcpuTimeMs };
    },
    list: async () =>
      records.uuids().flatMap((uuid) => {
        const domain = records.domain(uuid);
        return domain === undefined
          ? []
          : [{ uuid, state: domain.state, reason: domain.reason, autostart: false, vcpuTimeMs: domain.vcpuTimeMs }];
      }),
    define: async (definition) => {
      const known = records.domain(definition.uuid);
      records.put(
        definition.uuid,
        known === undefined
          ? { definition, state: 'shutoff', reason: 'unknown', vcpuTimeMs: 0, memory: null }
          : { ...known, definition },
      );
      records.note(definition.uuid, 'define');
      tell(definition.uuid, 'defined');
    },
    undefine: async (uuid) => {
      if (records.domain(uuid) === undefined) return;
      records.drop(uuid);
      records.note(uuid, 'undefine');
      tell(uuid, 'undefined');
    },
    autostartOff: async () => undefined,
    startHeld: async (uuid) => {
      const domain = must(uuid, 'shutoff');
      await openDisks(domain.definition);
      held(uuid, domain, { boot: randomUUID().slice(0, 8), ticks: 0 }, 'boot');
    },
    restoreHeld: async (statePath, definition) => {
      const domain = must(definition.uuid, 'shutoff');
      const saved = (await files.read(statePath))?.subarray(SAVED_STATE_HEAD_BYTES).toString('utf8');
      const [uuid, boot, ticks] = saved?.split(' ') ?? [];
      if (uuid !== definition.uuid || boot === undefined)
        throw new HostError(failed('LIBVIRT_FAILED', 'Another guest’s memory.'));
      await openDisks(definition);
      held(uuid, { ...domain, definition }, { boot, ticks: Number(ticks) }, 'restore');
    },
    unpause: async (uuid) => {
      records.put(uuid, { ...must(uuid, 'paused'), state: 'running', reason: 'unpaused' });
      records.note(uuid, 'run');
      tell(uuid, 'resumed');
    },
    pause: async (uuid) => {
      records.put(uuid, { ...must(uuid, 'running', 'paused'), state: 'paused', reason: 'user' });
      tell(uuid, 'paused');
    },
    // No broker asks for it yet: `libs/hypervisor`'s own fake does it.
    beginCopy: async () => {
      throw new HostError(failed('LIBVIRT_FAILED', 'This pretended host copies no disks.'));
    },
    copyState: async () => undefined,
    endCopy: async () => undefined,
    diskFiles: async (uuid) => records.domain(uuid)?.definition.disks.map(({ path }) => path) ?? [],
    requestShutdown: async (uuid) => {
      const domain = records.domain(uuid);
      if (domain?.state === 'running') off(uuid, domain, 'shutdown', 'off');
    },
    powerOff: async (uuid) => {
      const domain = records.domain(uuid);
      if (domain !== undefined && domain.state !== 'shutoff') off(uuid, domain, 'destroyed', 'off');
    },
    save: async (uuid, statePath) => {
      const domain = must(uuid, 'running', 'paused');
      const head = Buffer.alloc(SAVED_STATE_HEAD_BYTES);
      head.write('LibvirtQemudSave', 'latin1');
      head.writeUInt32LE(2, 16);
      await files.write(statePath, Buffer.concat([head, Buffer.from(`${uuid} ${domain.memory?.boot} ${domain.memory?.ticks}`)]));
      off(uuid, domain, 'saved', 'save');
    },
    putSecret: async ({ key, value }) => writeFileSync(secretFile(key), sha256(value)),
    dropSecret: async (key) => rmSync(secretFile(key), { force: true }),
    hasSecret: async (key) => existsSync(secretFile(key)),
  };
}
