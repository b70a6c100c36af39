import { type DomainDefinition, failed, HostError, type HostFiles, type Hypervisor } from '@carnet/hypervisor';
import type { DiskDomain, diskRecords } from './disk-hypervisor.ts';
import { readVolume, writeVolume } from './disk-volumes.ts';

/** A mirror under way, as it lies on disk: ready when somebody has looked so often. */
export type DiskCopy = { readonly path: string; readonly key: DomainDefinition['disks'][number]['key']; readonly looks: number };
const LOOKS_UNTIL_READY = 2;

type Copies = Pick<Hypervisor, 'disk' | 'copyDisk' | 'pivotDisk'>;

export function diskCopies(
  records: ReturnType<typeof diskRecords>,
  files: HostFiles,
  must: (uuid: string) => DiskDomain,
  opens: (path: string, key: string) => Promise<boolean>,
): Copies {
  const refuse = (text: string): never => {
    throw new HostError(failed('LIBVIRT_FAILED', text));
  };
  const putCopies = (uuid: string, domain: DiskDomain, copies: NonNullable<DiskDomain['copies']>): void =>
    records.put(uuid, { ...domain, copies });
  return {
    disk: async (uuid, target) => {
      const domain = records.domain(uuid);
      const path = domain?.definition.disks.find((disk) => disk.target === target)?.path;
      if (domain === undefined || domain.state === 'shutoff' || path === undefined) return undefined;
      const copy = domain.copies?.[target];
      if (copy === undefined) return { path };
      const looks = copy.looks + 1;
      putCopies(uuid, domain, { ...domain.copies, [target]: { ...copy, looks } });
      const state = looks > LOOKS_UNTIL_READY ? 'ready' : 'copying';
      return { path, copy: { state, doneBytes: Math.min(looks, LOOKS_UNTIL_READY), totalBytes: LOOKS_UNTIL_READY } };
    },
    copyDisk: async (uuid, target, { path, key }) => {
      if (!(await opens(path, key))) refuse('The copy does not open.');
      const domain = must(uuid);
      putCopies(uuid, domain, { ...domain.copies, [target]: { path, key, looks: 0 } });
    },
    pivotDisk: async (uuid, target) => {
      const domain = must(uuid);
      const copy = domain.copies?.[target];
      const from = domain.definition.disks.find((disk) => disk.target === target);
      if (copy === undefined || from === undefined || copy.looks <= LOOKS_UNTIL_READY) return refuse('The copy is not ready.');
      const [old, made] = [await readVolume(files, from.path), await readVolume(files, copy.path)];
      if (old === undefined || made === undefined) return refuse('A volume is gone.');
      await writeVolume(files, copy.path, { ...made, marker: old.marker });
      const { path, key } = copy;
      const disks = domain.definition.disks.map((disk) => (disk.target === target ? { target, path, key } : disk));
      const { [target]: _ended, ...copies } = domain.copies ?? {};
      records.put(uuid, { ...domain, definition: { ...domain.definition, disks }, copies });
    },
  };
}
