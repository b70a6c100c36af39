import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { Artifacts, MemoryKey } from '@carnet/hypervisor';
import * as images from '@carnet/images';
import { type DataPathOptions, manifestOf, openDataPath } from './data-path.ts';
import { guard, luksPlace } from './header-guard.ts';
import { imageCatalogue } from './image-catalogue.ts';
import { map, told } from './outcomes.ts';

export type ArtifactsOptions = DataPathOptions & { readonly imageStore: images.ImageStore };
export type HostArtifacts = Artifacts & { close(): Promise<void> };

/** Wires the images lib to a host: header guard, seals, the direct carrier at both ends, memory state, the image store. */
export async function openArtifacts(options: ArtifactsOptions): Promise<HostArtifacts> {
  return {
    ...(await openDataPath(options)),
    ...imageCatalogue(options.imageStore),
    guard,
    luksPlace,
    seal: async ({ of, artifact, kind, path, chunkBytes, signal }) =>
      map(told(await images.seal(path, { ...of, artifact, kind, chunkBytes, signal }), 'IMAGE_REFUSED'), ({ sealed }) => sealed),
    unseal: (path) => rm(manifestOf(path), { force: true }),
    sealMemory: async (from, into, key) =>
      map(told(await images.sealStateFile({ from, into, ...viewed(key), random: randomBytes }), 'DISK_FAILED'), nothing),
    openMemory: async (from, into, key) =>
      map(told(await images.openStateFile({ from, into, ...viewed(key) }), 'MEMORY_STATE_REFUSED'), nothing),
  };
}

const nothing = (): void => undefined;

/** The same bytes as a Buffer, not a copy: a copy would outlive the step that zeroes its key. */
const viewed = ({ key, context }: MemoryKey) => ({ key: Buffer.from(key.buffer, key.byteOffset, key.byteLength), context });
