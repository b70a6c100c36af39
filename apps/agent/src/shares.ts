import { join } from 'node:path';
import {
  certificateChain,
  epoch,
  type MigrationId,
  migrationId,
  sealedArtifact,
  type Timestamp,
  timestamp,
  vmId,
} from '@carnet/events';
import { nodeFiles, type ServeRequest } from '@carnet/hypervisor';
import { z } from 'zod';

/** A share as it lies on the disk. Its paths are this host's own; its root and pin are what was agreed. */
const shareFile = z.strictObject({
  v: z.literal(1),
  of: z.strictObject({ vm: vmId, migration: migrationId, epoch, round: z.int().min(0) }).readonly(),
  artifacts: z.array(z.strictObject({ sealed: sealedArtifact, path: z.string() }).readonly()).readonly(),
  peer: certificateChain,
  until: timestamp,
});

export type Shares = {
  of(migration: MigrationId): ServeRequest | undefined;
  open(share: ServeRequest): Promise<void>;
  end(migration: MigrationId): Promise<void>;
};

/**
 * What this host serves. Durable: nothing in the protocol asks a source a second time, so an agent that restarts in the middle
 * of a transfer must go on by itself. Expired shares are dropped.
 */
export async function openShares(dir: string, now: () => Timestamp): Promise<Shares> {
  const shares = new Map<MigrationId, ServeRequest>();
  const place = (migration: MigrationId): string => join(dir, `${migration}.json`);
  for (const name of await nodeFiles.list(dir)) {
    const share = parse(await nodeFiles.read(join(dir, name)));
    if (share !== undefined && share.until > now()) shares.set(share.of.migration, share);
    else await nodeFiles.remove(join(dir, name));
  }
  return {
    of: (migration) => shares.get(migration),
    open: async (share) => {
      await nodeFiles.write(place(share.of.migration), Buffer.from(`${JSON.stringify({ v: 1, ...share })}\n`));
      shares.set(share.of.migration, share);
    },
    end: async (migration) => {
      shares.delete(migration);
      await nodeFiles.remove(place(migration));
    },
  };
}

function parse(bytes: Buffer | undefined): ServeRequest | undefined {
  try {
    const { v, ...share } = shareFile.parse(JSON.parse(bytes?.toString('utf8') ?? ''));
    return v === 1 ? share : undefined;
  } catch {
    return undefined;
  }
}
