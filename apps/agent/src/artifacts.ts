import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { DataPath, Timestamp } from '@carnet/events';
import { type Artifacts, done, type Log, type ServeRequest } from '@carnet/hypervisor';
import type { ImageStore } from '@carnet/images';
import * as images from '@carnet/images';
import type { TrustStore } from '@carnet/pki';
import { writePem } from '@carnet/pki';
import { guard } from './header-guard.ts';
import type { AgentIdentity } from './identity.ts';
import { imageCatalogue } from './image-catalogue.ts';
import { map, told } from './outcomes.ts';
import { judgePinned, leafDigestOf } from './peer-verdict.ts';
import { openShares } from './shares.ts';

export type ArtifactsOptions = {
  readonly identity: AgentIdentity;
  readonly store: () => TrustStore;
  readonly now: () => Timestamp;
  readonly imageStore: ImageStore;
  readonly dataPath: { readonly address: string; readonly port: number; readonly serverName: string };
  /** Where shares are remembered: a source that restarts goes on serving what it promised. */
  readonly sharesDir: string;
  readonly log: Log;
};

export type HostArtifacts = Artifacts & { close(): Promise<void> };

/** Where `seal` keeps what it found. */
const manifestOf = (path: string): string => `${path}.manifest`;

/** Wires the images lib to a host: header guard, seals, the direct carrier at both ends, memory state, the image store. */
export async function openArtifacts(options: ArtifactsOptions): Promise<HostArtifacts> {
  const { identity, store, now, imageStore, log } = options;
  const shares = await openShares(options.sharesDir, now);
  // Read at each use: roots and CRLs may change under a running agent.
  const tls = () => ({
    key: identity.keyPem,
    cert: identity.certificatePem,
    ca: store().roots.map((der) => writePem('CERTIFICATE', der)),
  });
  const serving = await images.serveArtifacts({
    address: options.dataPath.address,
    port: options.dataPath.port,
    tls: tls(),
    // OpenSSL has judged the path; who it is and whether it is revoked, the grant decides for its one pinned chain.
    verifyPeer: () => ({ ok: true }),
    grantOf: (migration) => grantOf(shares.of(migration), store(), now()),
    onTransfer: (transfer) => log.info({ ...transfer }, 'served'),
  });
  if (!serving.ok) throw new Error(`the data path does not open: ${serving.code}`);
  const dataPath: DataPath = {
    address: options.dataPath.address,
    port: serving.value.port,
    serverName: options.dataPath.serverName,
  };

  return {
    close: () => serving.value.close(),
    dataPath: () => dataPath,
    guard,
    seal: async ({ of, artifact, kind, path, chunkBytes }) =>
      map(told(await images.seal(path, { ...of, artifact, kind, chunkBytes }), 'IMAGE_REFUSED'), ({ sealed }) => sealed),
    unseal: (path) => rm(manifestOf(path), { force: true }),
    serve: async (request) => {
      await shares.open(request);
      return done(undefined);
    },
    unserve: (migration) => shares.end(migration),
    pull: async ({ of, sealed, from, peer, into, rateBytesPerSecond, onProgress, signal }) =>
      map(
        told(
          await images.pullArtifact({
            endpoint: from,
            tls: tls(),
            verifyPeer: () => judgePinned(peer, store(), now(), 'serverAuth'),
            pinnedLeaf: leafDigestOf(peer),
            migration: of.migration,
            expect: sealed,
            of,
            into,
            ...(rateBytesPerSecond === undefined ? {} : { rateBytesPerSecond }),
            onProgress: ({ bytes, totalBytes, bytesPerSecond }) =>
              onProgress({ doneBytes: bytes, totalBytes, bytesPerSecond: Math.round(bytesPerSecond) }),
            signal,
          }),
          'TRANSFER_FAILED',
        ),
        ({ receivedBytes }) => ({ receivedBytes }),
      ),
    sealMemory: async (from, into, { key, context }) =>
      map(
        told(await images.sealStateFile({ from, into, key: Buffer.from(key), context, random: randomBytes }), 'DISK_FAILED'),
        () => undefined,
      ),
    openMemory: async (from, into, { key, context }) =>
      map(
        told(await images.openStateFile({ from, into, key: Buffer.from(key), context }), 'MEMORY_STATE_REFUSED'),
        () => undefined,
      ),
    ...imageCatalogue(imageStore),
  };
}

/** A share ends by itself after `until`, and at once when the pinned agent's certificate is revoked. */
function grantOf(share: ServeRequest | undefined, store: TrustStore, now: Timestamp) {
  if (share === undefined || share.until < now) return undefined;
  if (!judgePinned(share.peer, store, now, 'clientAuth').ok) return undefined;
  return {
    pinnedLeaf: leafDigestOf(share.peer),
    artifacts: share.artifacts.map(({ sealed, path }) => ({ sealed, of: share.of, file: path, manifest: manifestOf(path) })),
  };
}
