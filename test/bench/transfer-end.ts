import { readFileSync } from 'node:fs';
import { type Digest, epoch, migrationId, type SealedArtifact, vmId } from '@carnet/events';
import { discardPull, type Grant, pullArtifact, seal, serveArtifacts } from '@carnet/images';

// One end of our transfer, as a process of its own: it stands for a running agent, so it starts before the clock does.

/** What the bench tells an end to do; it answers each with an `Answer`. */
export type Order =
  | { readonly do: 'seal'; readonly file: string; readonly artifact: SealedArtifact['artifact'] }
  | {
      readonly do: 'serve';
      readonly pki: string;
      readonly file: string;
      readonly manifest: string;
      readonly sealed: SealedArtifact;
      readonly pinnedLeaf: Digest;
    }
  | {
      readonly do: 'pull';
      readonly pki: string;
      readonly port: number;
      readonly sealed: SealedArtifact;
      readonly pinnedLeaf: Digest;
      readonly into: string;
      readonly stopAtShare?: number;
    }
  | { readonly do: 'discard'; readonly into: string }
  | { readonly do: 'usage' };
export interface Answer {
  readonly port?: number;
  readonly sealed?: SealedArtifact;
  readonly manifest?: string;
  readonly code?: string;
  readonly seconds?: number;
  /** Of this process so far. */
  readonly cpuSeconds: number;
  readonly peakMiB: number;
}

const OF = { vm: vmId.parse('csp-a.example/6b1f0c9e-0000-4000-8000-000000000001'), epoch: epoch.parse(1), round: 0 };
const MIGRATION = migrationId.parse('01890000-0000-7000-8000-000000000000');

const usage = (): { readonly cpuSeconds: number; readonly peakMiB: number } => {
  const { user, system } = process.cpuUsage();
  return { cpuSeconds: (user + system) / 1e6, peakMiB: process.resourceUsage().maxRSS / 1_024 };
};
const identity = (
  pki: string,
  end: 'server' | 'client',
): { readonly key: Buffer; readonly cert: Buffer; readonly ca: Buffer } => ({
  key: readFileSync(`${pki}/${end}-key.pem`),
  cert: readFileSync(`${pki}/${end}-cert.pem`),
  ca: readFileSync(`${pki}/ca-cert.pem`),
});
/** The paths here have one certificate; the PKI's judgement is not what is measured. */
const verifyPeer = (): { readonly ok: true } => ({ ok: true });

async function obey(order: Order): Promise<Answer> {
  switch (order.do) {
    case 'seal': {
      const sealed = await seal(order.file, { ...OF, artifact: order.artifact, kind: 'disk' });
      if (!sealed.ok) return { code: sealed.code, ...usage() };
      return { sealed: sealed.value.sealed, manifest: sealed.value.manifest, ...usage() };
    }
    case 'serve': {
      const { pinnedLeaf, sealed, file, manifest } = order;
      const grant: Grant = { pinnedLeaf, artifacts: [{ sealed, of: OF, file, manifest }] };
      const serving = await serveArtifacts({ tls: identity(order.pki, 'server'), verifyPeer, grantOf: () => grant });
      return serving.ok ? { port: serving.value.port, ...usage() } : { code: serving.code, ...usage() };
    }
    case 'pull': {
      const stop = new AbortController();
      const started = performance.now();
      const pulled = await pullArtifact({
        endpoint: { address: '127.0.0.1', port: order.port, serverName: 'localhost' },
        tls: identity(order.pki, 'client'),
        verifyPeer,
        pinnedLeaf: order.pinnedLeaf,
        migration: MIGRATION,
        expect: order.sealed,
        of: OF,
        into: order.into,
        signal: stop.signal,
        onProgress({ bytes, totalBytes }) {
          if (order.stopAtShare !== undefined && bytes >= totalBytes * order.stopAtShare) stop.abort();
        },
      });
      return { seconds: (performance.now() - started) / 1_000, ...(pulled.ok ? {} : { code: pulled.code }), ...usage() };
    }
    case 'discard':
      await discardPull(order.into);
      return usage();
    case 'usage':
      return usage();
  }
}

process.on('message', (order: Order) => {
  void obey(order).then((answer) => process.send?.(answer));
});
