import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { artifactId, epoch, migrationId, vmId } from '@carnet/events';
import type { Grant } from '../grant.ts';
import type { Outcome } from '../outcome.ts';
import type { PullRequest } from '../pull.ts';
import { seal } from '../seal.ts';
import { type ServeRequest, type Serving, serveArtifacts } from '../serve.ts';
import { accept } from './accept.ts';
import { testAuthority } from './certificates.ts';

export const MIGRATION = migrationId.parse('01890000-0000-7000-8000-000000000000');
export const ARTIFACT = artifactId.parse('6b1f0c9e-0000-4000-8000-000000000002');
export const OF = { vm: vmId.parse('csp-a.example/6b1f0c9e-0000-4000-8000-000000000001'), epoch: epoch.parse(3), round: 0 };

/** Chunks of the tests: small, so that a few hundred KiB have many. */
export const CHUNK = 16_384;

const authority = testAuthority();
export const SOURCE = authority('agent-a.csp-a.example');
export const TARGET = authority('agent-b.csp-b.example');
export const STRANGER = authority('agent-c.csp-c.example');
export { accept };

export const value = <T>(outcome: Outcome<T>): T => {
  if (!outcome.ok) throw new Error(`${outcome.code} ${outcome.got ?? ''}`);
  return outcome.value;
};
export const codeOf = (outcome: Outcome<unknown>): string => (outcome.ok ? 'ok' : outcome.code);

/** Bytes that repeat nowhere, from a counter. */
export function content(bytes: number, seed = 1): Buffer {
  const out = Buffer.alloc(bytes);
  for (let at = 0, x = seed; at + 4 <= bytes; at += 4) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    out.writeUInt32LE(x, at);
  }
  return out;
}

export interface Bench {
  readonly dir: string;
  readonly image: string;
  readonly into: string;
  readonly grant: Grant;
  readonly serving: Serving;
  readonly request: PullRequest;
  close(): Promise<void>;
}

/** A sealed image, served to TARGET, and the request that fetches it. */
export async function served(
  bytes: Buffer,
  settings: Partial<ServeRequest> & {
    readonly chunkBytes?: number /** A hole to that size follows. */;
    readonly sizeBytes?: number;
  } = {},
): Promise<Bench> {
  const dir = await mkdtemp(join(tmpdir(), 'carnet-images-'));
  const image = join(dir, 'image');
  const into = join(dir, 'received');
  await writeFile(image, bytes);
  if (settings.sizeBytes !== undefined) await truncate(image, settings.sizeBytes);
  const sealed = value(await seal(image, { ...OF, artifact: ARTIFACT, kind: 'disk', chunkBytes: settings.chunkBytes ?? CHUNK }));
  const grant: Grant = {
    pinnedLeaf: TARGET.leaf,
    artifacts: [{ sealed: sealed.sealed, of: OF, file: image, manifest: sealed.manifest }],
  };
  const grantOf = (migration: string): Grant | undefined => (migration === MIGRATION ? grant : undefined);
  const serving = value(await serveArtifacts({ tls: SOURCE.tls, verifyPeer: accept, grantOf, stallMs: 5_000, ...settings }));
  const request: PullRequest = {
    endpoint: { address: serving.address, port: serving.port, serverName: SOURCE.name },
    tls: TARGET.tls,
    verifyPeer: accept,
    pinnedLeaf: SOURCE.leaf,
    migration: MIGRATION,
    expect: sealed.sealed,
    of: OF,
    into,
    stallMs: 5_000,
  };
  return {
    dir,
    image,
    into,
    grant,
    serving,
    request,
    async close() {
      await serving.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
