import { networkInterfaces } from 'node:os';
import { createSecureContext, type TlsOptions } from 'node:tls';
import type { DataPath, Timestamp } from '@carnet/events';
import { type Artifacts, done, type Log, type Outcome, type PullRequest, type ServeRequest } from '@carnet/hypervisor';
import * as images from '@carnet/images';
import { CRL_RECHECK_MS, type LiveLeaf, type OwnLeaf, type TrustStore, writePem } from '@carnet/pki';
import { type DeclaredNetwork, migrationNetwork } from './migration-network.ts';
import { map, told } from './outcomes.ts';
import { judgePinned, leafDigestOf } from './peer-verdict.ts';
import { openShares } from './shares.ts';

export type DataPathOptions = {
  readonly identity: Pick<LiveLeaf, 'current' | 'held'>;
  readonly store: () => TrustStore;
  readonly now: () => Timestamp;
  readonly dataPath: DeclaredNetwork & { readonly port: number; readonly serverName: string };
  /** Where shares are remembered: a source that restarts goes on serving what it promised. */
  readonly sharesDir: string;
  readonly log: Log;
};

export type Carrier = Pick<Artifacts, 'dataPath' | 'serve' | 'unserve' | 'pull'> & { close(): Promise<void> };

/** Where `seal` keeps what it found. */
export const manifestOf = (path: string): string => `${path}.manifest`;

/** Both ends of the direct carrier: this host serves what it shares, and pulls from the agents that agreements pin. */
export async function openDataPath(options: DataPathOptions): Promise<Carrier> {
  const { store, now, log } = options;
  const shares = await openShares(options.sharesDir, now);
  const { address, port, serverName } = options.dataPath;
  const { takes, localAddress } = migrationNetwork(options.dataPath, networkInterfaces());
  const serving = await images.serveArtifacts({
    address,
    port,
    ...(takes === undefined ? {} : { takes }),
    tls: serverTls(options),
    // OpenSSL has judged the path; who it is and whether it is revoked, the grant decides for its one pinned chain.
    verifyPeer: () => ({ ok: true }),
    grantOf: (migration) => grantOf(shares.of(migration), store(), now()),
    onTransfer: (transfer) => log.info({ ...transfer }, 'served'),
  });
  if (!serving.ok) throw new Error(`the data path does not open: ${serving.code}`);
  const dataPath: DataPath = { address, port: serving.value.port, serverName };
  return {
    close: () => serving.value.close(),
    dataPath: () => dataPath,
    serve: async (request) => {
      await shares.open(request);
      return done(undefined);
    },
    unserve: (migration) => shares.end(migration),
    pull: (request) => pull(request, options, localAddress),
  };
}

const tlsOf = (leaf: OwnLeaf, { store }: Pick<DataPathOptions, 'store'>) => ({
  key: leaf.keyPem,
  cert: leaf.certificatePem,
  ca: store().roots.map((der) => writePem('CERTIFICATE', der)),
});

/** Agreements pin the leaf of their time: a receiver says which by the server name, and an older one is served until it ends. */
const serverTls = (options: DataPathOptions): TlsOptions => ({
  ...tlsOf(options.identity.current(), options),
  SNICallback: (serverName, answer) => {
    const { identity } = options;
    const leaf = identity.held().find(({ signer }) => images.namesLeaf(serverName, signer.keyid)) ?? identity.current();
    answer(null, createSecureContext({ ...tlsOf(leaf, options), minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' }));
  },
});

/** A share ends by itself after `until`, and at once when the pinned agent's certificate is revoked. */
function grantOf(share: ServeRequest | undefined, store: TrustStore, now: Timestamp) {
  if (share === undefined || share.until < now) return undefined;
  if (!judgePinned(share.peer, store, now, 'clientAuth').ok) return undefined;
  return {
    pinnedLeaf: leafDigestOf(share.peer),
    artifacts: share.artifacts.map(({ sealed, path }) => ({ sealed, of: share.of, file: path, manifest: manifestOf(path) })),
  };
}

/** What comes from a peer stops when its agent is revoked in the middle: the next attempt is refused at its beginning. */
function whileTrusted(
  wanted: AbortSignal,
  verdict: () => images.PeerVerdict,
): { readonly signal: AbortSignal; readonly stop: () => void } {
  const untrusted = new AbortController();
  const timer = setInterval(() => {
    if (!verdict().ok) untrusted.abort();
  }, CRL_RECHECK_MS);
  timer.unref();
  return { signal: AbortSignal.any([wanted, untrusted.signal]), stop: () => clearInterval(timer) };
}

/** Which of our leaves the agreement pins only the source knows: the newest first, then the one before it while it lasts. */
async function pull(
  request: PullRequest,
  options: DataPathOptions,
  localAddress: string | undefined,
): Promise<Outcome<{ readonly receivedBytes: number }>> {
  const [current, before] = options.identity.held();
  const pulled = await pullAs(current ?? options.identity.current(), request, options, localAddress);
  const isOthers = !pulled.ok && pulled.code === 'NOT_GRANTED' && before !== undefined;
  const last = isOthers ? await pullAs(before, request, options, localAddress) : pulled;
  return map(told(last, 'TRANSFER_FAILED'), ({ receivedBytes }) => ({ receivedBytes }));
}

async function pullAs(leaf: OwnLeaf, request: PullRequest, options: DataPathOptions, localAddress: string | undefined) {
  const { of, sealed, from, peer, into, rateBytesPerSecond, onProgress } = request;
  const verifyPeer = () => judgePinned(peer, options.store(), options.now(), 'serverAuth');
  const { signal, stop } = whileTrusted(request.signal, verifyPeer);
  try {
    return await images.pullArtifact({
      endpoint: from,
      tls: { ...tlsOf(leaf, options), ...(localAddress === undefined ? {} : { localAddress }) },
      verifyPeer,
      pinnedLeaf: leafDigestOf(peer),
      migration: of.migration,
      expect: sealed,
      of,
      into,
      ...(rateBytesPerSecond === undefined ? {} : { rateBytesPerSecond }),
      onProgress: ({ bytes, totalBytes, bytesPerSecond }) =>
        onProgress({ doneBytes: bytes, totalBytes, bytesPerSecond: Math.round(bytesPerSecond) }),
      signal,
    });
  } finally {
    stop();
  }
}
