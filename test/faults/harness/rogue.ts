import { copyFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Artifacts, done, nodeFiles, type Volumes } from '@carnet/hypervisor';
import { guard as realGuard, luksPlace as realPlace } from '../../../apps/agent/src/header-guard.ts';
import { guardVolume, placeVolume } from './disk-volumes.ts';

/** One lie of a host that a CSP has made its own. Everything else that it does is as honest as ever. */
export type Lie =
  /** Seals these bytes in place of the volume: the manifest and its root are valid for them. */
  | { readonly kind: 'other-volume'; readonly file: string }
  /** Says that any key opens the volume. */
  | { readonly kind: 'any-key-opens' }
  /** Signs one content and serves another. */
  | { readonly kind: 'serve'; readonly what: 'flipped' | 'missing' | 'repeated' | 'reordered' };

const CHUNK_BYTES = 1_048_576;
const lieFile = (stateDir: string): string => join(stateDir, 'lie.json');

/** Read at each use: a test turns an honest host into a liar and back while it runs. */
const lieOf = (stateDir: string): Lie | undefined =>
  existsSync(lieFile(stateDir)) ? (JSON.parse(readFileSync(lieFile(stateDir), 'utf8')) as Lie) : undefined;
export const tellLie = (stateDir: string, lie: Lie | null): void => writeFileSync(lieFile(stateDir), JSON.stringify(lie));

export const lyingVolumes = (volumes: Volumes, stateDir: string): Volumes => ({
  ...volumes,
  unlock: async (path, passphrase) =>
    lieOf(stateDir)?.kind === 'any-key-opens' ? done(undefined) : volumes.unlock(path, passphrase),
});

const QCOW2_MAGIC = Buffer.from('QFI\xfb', 'latin1');

/** A real qcow2 meets the real guard; a pretended volume the pretended one. */
const guard: Artifacts['guard'] = async (path) =>
  (await nodeFiles.head(path, QCOW2_MAGIC.length)).equals(QCOW2_MAGIC) ? realGuard(path) : guardVolume(nodeFiles)(path);

const luksPlace: Artifacts['luksPlace'] = async (path) =>
  (await nodeFiles.head(path, QCOW2_MAGIC.length)).equals(QCOW2_MAGIC) ? realPlace(path) : placeVolume(nodeFiles)(path);

export const lyingArtifacts = (artifacts: Artifacts, stateDir: string): Artifacts => ({
  ...artifacts,
  guard,
  luksPlace,
  seal: async (request) => {
    const lie = lieOf(stateDir);
    if (lie?.kind === 'other-volume') copyFileSync(lie.file, request.path);
    const sealed = await artifacts.seal(request);
    if (lie?.kind === 'serve') writeFileSync(request.path, distort(readFileSync(request.path), lie.what));
    if (lie?.kind === 'serve' && lie.what === 'missing') truncateSync(request.path, CHUNK_BYTES);
    return sealed;
  },
});

/** Three chunks as they lie on the liar's disk, after the manifest of the true ones was made. */
function distort(bytes: Buffer, what: Extract<Lie, { readonly kind: 'serve' }>['what']): Buffer {
  const chunk = (n: number): Buffer => bytes.subarray(n * CHUNK_BYTES, (n + 1) * CHUNK_BYTES);
  switch (what) {
    case 'flipped': {
      const copy = Buffer.from(bytes);
      copy[CHUNK_BYTES + 7] = (copy[CHUNK_BYTES + 7] ?? 0) ^ 1;
      return copy;
    }
    case 'repeated':
      return Buffer.concat([chunk(0), chunk(0), bytes.subarray(2 * CHUNK_BYTES)]);
    case 'reordered':
      return Buffer.concat([chunk(0), chunk(2), chunk(1), bytes.subarray(3 * CHUNK_BYTES)]);
    case 'missing':
      return bytes;
  }
}
