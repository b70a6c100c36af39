import { type Artifacts, HostError, type ImageFacts } from '@carnet/hypervisor';
import type { ImageRecord, ImageStore } from '@carnet/images';
import { map, told } from './outcomes.ts';

const factsOf = ({ name, root, sizeBytes, virtualBytes }: ImageRecord): ImageFacts => ({
  name,
  digest: root,
  sizeBytes,
  capacityBytes: virtualBytes,
});

/** The host's image store behind the host's port. An image's digest is the Merkle root of its content. */
export const imageCatalogue = (
  store: ImageStore,
): Pick<Artifacts, 'listImages' | 'registerImage' | 'verifyImage' | 'imagePath'> => ({
  listImages: async () => {
    const listed = told(await store.list(), 'DISK_FAILED');
    if (!listed.ok) throw new HostError(listed.setback);
    return listed.value.map(factsOf);
  },
  registerImage: async (name, file) => map(told(await store.register({ name, file }), 'IMAGE_REFUSED'), factsOf),
  verifyImage: async (name) => map(told(await store.verify(name), 'IMAGE_REFUSED'), factsOf),
  imagePath: async (name) => map(told(await store.openForClone(name), 'IMAGE_REFUSED'), ({ file }) => file),
});
