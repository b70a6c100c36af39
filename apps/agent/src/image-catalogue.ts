import { type Artifacts, HostError, type ImageFacts, type Outcome, refused, setBack } from '@carnet/hypervisor';
import type * as images from '@carnet/images';
import type { ImageRecord, ImageStore } from '@carnet/images';
import { map, told } from './outcomes.ts';

type Catalogue = Pick<Artifacts, 'listImages' | 'registerImage' | 'verifyImage' | 'findImage' | 'imageRoom'>;

const factsOf = ({ name, root, sizeBytes, virtualBytes }: ImageRecord): ImageFacts => ({
  name,
  digest: root,
  sizeBytes,
  capacityBytes: virtualBytes,
});

/** The host's image store behind the host's port. An image's digest is the Merkle root of its content. */
export const imageCatalogue = (store: ImageStore): Catalogue => ({
  listImages: async () => {
    const listed = told(await store.list(), 'DISK_FAILED');
    if (!listed.ok) throw new HostError(listed.setback);
    return listed.value.map(factsOf);
  },
  registerImage: async (name, make, signal) => {
    const made = store.registerMade({
      name,
      signal,
      make: async (path) => {
        const end = await make(path);
        if (!end.ok) throw new HostError(end.setback);
      },
    });
    return made.then(
      (record) => map(told(record, 'IMAGE_REFUSED'), factsOf),
      (cause: unknown) => {
        if (cause instanceof HostError) return setBack(cause.setback);
        throw cause;
      },
    );
  },
  imageRoom: () => store.room(),
  verifyImage: async (name, signal) => map(stored(await store.verify(name, signal)), factsOf),
  findImage: async (name) =>
    map(stored(await store.openForClone(name)), ({ file, record }) => ({ path: file, facts: factsOf(record) })),
});

/** An image in the store was judged when it came: whatever its files say now that they did not say then, somebody changed them. */
function stored<T>(outcome: images.Outcome<T>): Outcome<T> {
  const answer = told(outcome, 'IMAGE_TAMPERED');
  if (answer.ok || outcome.ok) return answer;
  const isTampered = answer.setback.code === 'CHUNK_MISMATCH' || outcome.code === 'FILE_MISSING';
  return isTampered ? setBack(refused('IMAGE_TAMPERED', `(${outcome.code})`)) : answer;
}
