import { failed, HostError } from '../codes.ts';
import type { Hypervisor } from '../ports/hypervisor.ts';
import { type FakeGuests, live } from './guests.ts';
import { readFakeVolume, writeFakeVolume } from './volumes.ts';

/** A copy is ready when somebody has looked so often. */
const LOOKS_UNTIL_READY = 2;

/** Mirrors of running disks: ready after some looks, gone with the guest. */
export const fakeDisks = (guests: FakeGuests): Pick<Hypervisor, 'disk' | 'copyDisk' | 'pivotDisk'> => ({
  disk: async (uuid, target) => {
    const domain = guests.domains.get(uuid);
    if (domain === undefined || (domain.state !== 'running' && domain.state !== 'paused')) return undefined;
    await live(guests, domain);
    const path = domain.definition.disks.find((disk) => disk.target === target)?.path;
    if (path === undefined) return undefined;
    const copy = domain.copies.get(target);
    if (copy === undefined) return { path };
    copy.looks += 1;
    const state = copy.looks > LOOKS_UNTIL_READY ? 'ready' : 'copying';
    return { path, copy: { state, doneBytes: Math.min(copy.looks, LOOKS_UNTIL_READY), totalBytes: LOOKS_UNTIL_READY } };
  },
  copyDisk: async (uuid, target, { path, key }) => {
    const domain = guests.must(uuid, 'running', 'paused');
    const secret = guests.secrets.get(key);
    const volume = await readFakeVolume(guests.files, path);
    if (secret === undefined || !volume?.slots.some((slot) => slot === secret) || domain.copies.has(target))
      throw new HostError(failed('LIBVIRT_FAILED', 'The copy does not begin.'));
    domain.copies.set(target, { path, key, looks: 0 });
  },
  pivotDisk: async (uuid, target) => {
    const domain = guests.must(uuid, 'running', 'paused');
    const copy = domain.copies.get(target);
    const from = domain.definition.disks.find((disk) => disk.target === target);
    if (copy === undefined || from === undefined || copy.looks <= LOOKS_UNTIL_READY)
      throw new HostError(failed('LIBVIRT_FAILED', 'The copy is not ready.'));
    const [old, made] = [await readFakeVolume(guests.files, from.path), await readFakeVolume(guests.files, copy.path)];
    if (old === undefined || made === undefined) throw new HostError(failed('LIBVIRT_FAILED', 'A volume is gone.'));
    await writeFakeVolume(guests.files, copy.path, { ...made, marker: old.marker });
    const { path, key } = copy;
    const disks = domain.definition.disks.map((disk) => (disk.target === target ? { target, path, key } : disk));
    domain.definition = { ...domain.definition, disks };
    domain.copies.delete(target);
  },
});
