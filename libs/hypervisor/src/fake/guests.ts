import type { KeyId } from '@carnet/events';
import { failed, HostError } from '../codes.ts';
import type { VmState } from '../command/result.ts';
import { sha256 } from '../digest.ts';
import type { HostFiles } from '../ports/files.ts';
import type { DomainDefinition, DomainNotice } from '../ports/hypervisor.ts';
import { readFakeVolume, writeFakeVolume } from './volumes.ts';

/** A guest's memory: a boot and a counter, as the tiny guest of the real tests has them. */
export type FakeMemory = { readonly boot: string; readonly ticks: number };

export type FakeDomain = {
  definition: DomainDefinition;
  state: VmState;
  reason: string;
  vcpuTimeMs: number;
  memory: FakeMemory | undefined;
  /** By target: the volume that a disk is mirrored to, and how often somebody has looked since. */
  copies: Map<string, { readonly path: string; readonly key: KeyId; looks: number }>;
};

/** Processor time that a running guest gains between two looks, in milliseconds. */
const LOOK_MS = 130;

/** The pretended guests of one host, their secrets, and who listens. */
export type FakeGuests = ReturnType<typeof fakeGuests>;

export function fakeGuests(files: HostFiles) {
  const domains = new Map<string, FakeDomain>();
  const secrets = new Map<KeyId, string>();
  const listeners = new Set<(notice: DomainNotice) => void>();
  const ran: string[] = [];
  const stale: string[] = [];

  const tell = (uuid: string | undefined, event: DomainNotice['event'], detail = ''): void => {
    for (const listener of listeners) listener({ uuid, event, detail });
  };
  const become = (domain: FakeDomain, state: VmState, reason: string, event: DomainNotice['event']): void => {
    domain.state = state;
    domain.reason = reason;
    tell(domain.definition.uuid, event, reason);
  };
  return {
    files,
    domains,
    secrets,
    listeners,
    ran,
    stale,
    tell,
    become,
    must: (uuid: string, ...states: readonly VmState[]): FakeDomain => {
      const domain = domains.get(uuid);
      if (domain !== undefined && states.includes(domain.state)) return domain;
      throw new HostError(failed('LIBVIRT_FAILED', `Domain is ${domain?.state ?? 'absent'}.`));
    },
    off: (domain: FakeDomain, reason: string): void => {
      domain.copies.clear();
      domain.memory = undefined;
      become(domain, 'shutoff', reason, 'stopped');
    },
    /** As QEMU does at a start: every disk must open with the secret that libvirt holds. */
    openDisks: async ({ definition }: FakeDomain): Promise<void> => {
      for (const { path, key } of definition.disks) {
        const volume = await readFakeVolume(files, path);
        const secret = secrets.get(key);
        if (volume === undefined || secret === undefined || !volume.slots.some((slot) => slot === secret))
          throw new HostError(failed('LIBVIRT_FAILED', 'A disk does not open.'));
      }
    },
  };
}

/** As swtpm does at a start: a state that the secret does not open is refused; where there is none, one is made. */
export async function startVtpm({ files, secrets }: FakeGuests, { definition: { vtpm } }: FakeDomain): Promise<void> {
  if (vtpm === undefined) return;
  const secret = secrets.get(vtpm.key);
  const [of, resets = '0'] = (await files.read(vtpm.statePath))?.toString('utf8').split(' ') ?? [];
  if (secret === undefined || (of !== undefined && of !== secret))
    throw new HostError(failed('LIBVIRT_FAILED', 'The vTPM does not open.'));
  await files.write(vtpm.statePath, Buffer.from(`${secret} ${Number(resets) + 1}`));
}

/** What the disks of a domain hold, short: what its memory knows of them. */
export async function disksOf({ files }: FakeGuests, { disks }: DomainDefinition): Promise<string> {
  const markers = await Promise.all(disks.map(async ({ path }) => (await readFakeVolume(files, path))?.marker ?? ''));
  return sha256(markers.join('\n')).slice(0, 12);
}

/** Time passes when somebody looks: a running guest counts, prints and writes its marker. */
export async function live({ files }: FakeGuests, domain: FakeDomain): Promise<void> {
  if (domain.state !== 'running' || domain.memory === undefined) return;
  domain.vcpuTimeMs += LOOK_MS;
  domain.memory = { ...domain.memory, ticks: domain.memory.ticks + 1 };
  const line = `boot=${domain.memory.boot} n=${domain.memory.ticks}`;
  await files.append(domain.definition.consolePath, Buffer.from(`TICK ${line}\n`));
  for (const { path } of domain.definition.disks.slice(0, 1)) {
    const volume = await readFakeVolume(files, path);
    if (volume !== undefined) await writeFakeVolume(files, path, { ...volume, marker: line });
  }
}
