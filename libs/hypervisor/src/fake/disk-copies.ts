import { failed, HostError } from '../codes.ts';
import type { Hypervisor } from '../ports/hypervisor.ts';
import type { FakeGuests } from './guests.ts';
import { readFakeVolume, writeFakeVolume } from './volumes.ts';

export type FakeCopies = Pick<Hypervisor, 'beginCopy' | 'copyState' | 'endCopy' | 'diskFiles'>;

const no = (why: string): HostError => new HostError(failed('LIBVIRT_FAILED', why));

export const copies = ({ domains, secrets, files, must }: FakeGuests): FakeCopies => ({
  beginCopy: async (uuid, copy) => {
    const domain = must(uuid, 'running', 'paused');
    const disk = domain.definition.disks.find(({ target }) => target === copy.target);
    if (disk === undefined || domain.copies.has(copy.target)) throw no('No such disk, or it has a copy.');
    const [from, to] = [await readFakeVolume(files, disk.path), await readFakeVolume(files, copy.path)];
    const secret = secrets.get(copy.key);
    if (from === undefined || to === undefined || secret === undefined || !to.slots.some((slot) => slot === secret))
      throw no('The volume does not open.');
    await writeFakeVolume(files, copy.path, { ...to, marker: from.marker });
    domain.copies.set(copy.target, { copy, looks: 0 });
  },
  copyState: async (uuid, target) => {
    const job = domains.get(uuid)?.copies.get(target);
    if (job === undefined) return undefined;
    job.looks += 1;
    const ready = job.looks > 1;
    return { doneBytes: ready ? 1 : 0, totalBytes: 1, ready };
  },
  endCopy: async (uuid, target, how) => {
    const domain = domains.get(uuid);
    const job = domain?.copies.get(target);
    if (domain !== undefined && job !== undefined && how === 'pivot') {
      if (job.looks < 2) throw no('The copy is not ready.');
      const disks = domain.definition.disks.map((disk) => (disk.target === target ? { ...disk, path: job.copy.path } : disk));
      domain.definition = { ...domain.definition, disks };
    } else if (how === 'pivot') throw no('No copy is under way.');
    domain?.copies.delete(target);
  },
  diskFiles: async (uuid) => domains.get(uuid)?.definition.disks.map(({ path }) => path) ?? [],
});
