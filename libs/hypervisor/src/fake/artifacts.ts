import type { ArtifactId, DataPath, Digest, MigrationId } from '@carnet/events';
import { refused } from '../codes.ts';
import type { ImageFacts } from '../command/result.ts';
import { sha256 } from '../digest.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import type { Artifacts, HandOver, MemoryKey, ServeRequest, StoredImage } from '../ports/artifacts.ts';
import type { HostFiles } from '../ports/files.ts';
import { guardFakeVolume, placeFakeHeader } from './volumes.ts';

type Share = (artifact: ArtifactId, of: HandOver, puller: Digest) => Promise<Buffer | undefined>;

/** What connects fake hosts: each listens on a port of it. */
export type FakeNetwork = { listen(share: Share): number; ask(port: number): Share | undefined };

/** Ports of fake hosts start here: no real one is meant. */
const FIRST_PORT = 40_001;

export function fakeNetwork(): FakeNetwork {
  const shares: Share[] = [];
  return {
    listen: (share) => FIRST_PORT + shares.push(share) - 1,
    ask: (port) => shares[port - FIRST_PORT],
  };
}

export type FakeArtifactsOptions = {
  readonly files: HostFiles;
  readonly network: FakeNetwork;
  /** SHA-256 that stands for this agent's leaf. */
  readonly leaf: Digest;
};

const rootOf = (of: HandOver, artifact: ArtifactId, bytes: Uint8Array): Digest =>
  sha256(JSON.stringify([of.vm, of.epoch, of.round, artifact, bytes.length, sha256(bytes)]));

const xor = (bytes: Uint8Array, key: Uint8Array): Buffer =>
  Buffer.from(bytes.map((byte, i) => byte ^ (key[i % key.length] ?? 0)));

export type FakeArtifacts = Artifacts & {
  /** The migrations whose artifacts peers may pull here now. */
  shared(): readonly MigrationId[];
};

/** The images lib's part, pretended: roots bind what they must, shares are pinned, wrong content is refused. */
export function fakeArtifacts({ files, network, leaf }: FakeArtifactsOptions): FakeArtifacts {
  const shares = new Map<MigrationId, ServeRequest>();
  const port = network.listen(async (artifact, of, puller) => {
    const share = shares.get(of.migration);
    const shared = share?.artifacts.find((one) => one.sealed.artifact === artifact);
    return share?.peer[0] === puller && share.of.epoch === of.epoch && shared !== undefined ? files.read(shared.path) : undefined;
  });
  const dataPath: DataPath = { address: '127.0.0.1', port, serverName: 'fake.example' };
  const convey = async (from: string, to: string, { key }: MemoryKey): Promise<Outcome<void>> => {
    const bytes = await files.read(from);
    if (bytes === undefined) return setBack(refused('ARTIFACT_MISSING'));
    await files.write(to, xor(bytes, key));
    return done(undefined);
  };
  return {
    shared: () => [...shares.keys()],
    dataPath: () => dataPath,
    guard: (path) => guardFakeVolume(files, path),
    luksPlace: (path) => placeFakeHeader(files, path),
    seal: async ({ of, artifact, kind, path, chunkBytes }) => {
      const bytes = await files.read(path);
      if (bytes === undefined) return setBack(refused('ARTIFACT_MISSING'));
      return done({ artifact, kind, sizeBytes: bytes.length, chunkBytes, root: rootOf(of, artifact, bytes) });
    },
    unseal: async () => undefined,
    serve: async (request) => {
      shares.set(request.of.migration, request);
      return done(undefined);
    },
    unserve: async (migration) => void shares.delete(migration),
    pull: async ({ of, sealed, from, into, onProgress }) => {
      const bytes = await network.ask(from.port)?.(sealed.artifact, of, leaf);
      if (bytes === undefined) return setBack(refused('PEER_REFUSED'));
      if (rootOf(of, sealed.artifact, bytes) !== sealed.root) return setBack(refused('CHUNK_MISMATCH'));
      await files.write(into, bytes);
      onProgress({ doneBytes: bytes.length, totalBytes: bytes.length, bytesPerSecond: bytes.length });
      return done({ receivedBytes: bytes.length });
    },
    sealMemory: convey,
    openMemory: convey,
    ...imageStore(files),
  };
}

type ImageStore = Pick<Artifacts, 'listImages' | 'registerImage' | 'verifyImage' | 'findImage' | 'imageRoom'>;

/** Images that never change, by name, in a folder of their own. */
function imageStore(files: HostFiles): ImageStore {
  const images = new Map<string, StoredImage>();
  const digestOf = async (path: string): Promise<Digest> => sha256((await files.read(path)) ?? '');
  const known = (name: string): Outcome<StoredImage> => {
    const image = images.get(name);
    return image === undefined ? setBack(refused('IMAGE_UNKNOWN')) : done(image);
  };
  const unchanged = async (name: string): Promise<Outcome<StoredImage>> => {
    const image = known(name);
    if (!image.ok) return image;
    return (await digestOf(image.value.path)) === image.value.facts.digest ? image : setBack(refused('IMAGE_TAMPERED'));
  };
  return {
    imageRoom: () => files.freeBytes('/images'),
    listImages: async () => [...images.values()].map(({ facts }) => facts),
    registerImage: async (name, make) => {
      if (images.has(name)) return setBack(refused('IMAGE_NAME_TAKEN'));
      const path = `/images/${name}`;
      try {
        const made = await make(`${path}.new`);
        if (!made.ok) return made;
        const header = await guardFakeVolume(files, `${path}.new`);
        if (!header.ok) return header;
        await files.rename(`${path}.new`, path);
        const { sizeBytes, capacityBytes } = header.value;
        const facts: ImageFacts = { name, digest: await digestOf(path), sizeBytes, capacityBytes };
        images.set(name, { path, facts });
        return done(facts);
      } finally {
        await files.remove(`${path}.new`);
      }
    },
    verifyImage: async (name) => {
      const image = await unchanged(name);
      return image.ok ? done(image.value.facts) : image;
    },
    findImage: unchanged,
  };
}
