import { dsseEnvelope, PAYLOAD_TYPES } from '@carnet/events';
import {
  done,
  type HostFiles,
  type HostIdentity,
  type HostPaths,
  type Outcome,
  type RunPermit,
  type RunPermits,
  refused,
  runPermit,
  setBack,
} from '@carnet/hypervisor';
import { type TrustStore, validatePath } from '@carnet/pki';
import { openEnvelope, parseStrictJson } from '@carnet/trust';
import { z } from 'zod';
import type { KnownBroker } from './broker-keys.ts';
import { brokerSpiffeId } from './commands.ts';

/** A permit as it lies on the disk, with the chain of who signed it: verified without anybody's help. Loose, as permits are. */
const permitFile = z.object({ permit: dsseEnvelope, chain: z.array(z.string()).readonly() }).readonly();

const invalid = (why: string): Outcome<never> => setBack(refused('RUN_PERMIT_INVALID', `(${why})`));

/**
 * Verifies a kept permit offline. Its certificates must have been valid when it was signed, for permits outlive leaves. What is
 * revoked since, by the lists at hand, signs nothing any more; how old those lists are is not asked: this host took the permit
 * when it was fresh, and a VM must start again after a week without the network. Not that there are none, either: a host that lost its lists
 * cannot know.
 */
export function openKeptPermit(file: Uint8Array, { domain }: HostIdentity, store: TrustStore): Outcome<RunPermit> {
  const kept = permitFile.safeParse(jsonIn(file)).data;
  if (kept === undefined) return invalid('damaged');
  const claimed = runPermit.safeParse(jsonIn(Buffer.from(kept.permit.payload, 'base64'))).data;
  if (claimed === undefined) return invalid('damaged');
  const { roots, crls } = store;
  const judged = validatePath({
    roots,
    crls,
    chain: kept.chain,
    at: claimed.time,
    crlAge: 'not judged',
    trustDomain: domain,
    spiffeId: brokerSpiffeId(domain),
  });
  if (!judged.ok) return judged.code === 'REVOKED' ? setBack(refused('RUN_PERMIT_REVOKED')) : invalid(judged.code);
  const { leafDigest, verifier } = judged.value;
  const opened = openEnvelope(Buffer.from(JSON.stringify(kept.permit)), PAYLOAD_TYPES.runPermit, (keyid) =>
    keyid === leafDigest ? verifier : undefined,
  );
  // What was read above is what was verified here: the same bytes.
  return opened.ok ? done(claimed) : invalid(opened.code);
}

function jsonIn(bytes: Uint8Array): unknown {
  const json = parseStrictJson(bytes);
  return json.ok ? json.value : undefined;
}

export type PermitKeeping = {
  readonly self: HostIdentity;
  readonly files: HostFiles;
  readonly paths: HostPaths;
  readonly broker: Pick<KnownBroker, 'keys' | 'chainOf'>;
  readonly store: () => TrustStore;
};

/** Keeps permits as files. Only what our broker of this moment signed, and what the hook will take. */
export function permitsOnDisk({ self, files, paths, broker, store }: PermitKeeping): RunPermits {
  return {
    keep: async (permit, { vm, epoch }) => {
      const keyid = permit.signatures[0]?.keyid ?? '';
      if (broker.keys(keyid) === undefined) return invalid('not this CSP’s broker');
      const file = Buffer.from(`${JSON.stringify({ permit, chain: broker.chainOf(keyid) })}\n`);
      const opened = openKeptPermit(file, self, store());
      if (!opened.ok) return opened;
      const { value } = opened;
      if (value.host !== self.host || value.vm !== vm || value.epoch !== epoch)
        return setBack(refused('RUN_PERMIT_MISMATCH', `It is for epoch ${value.epoch} of ${value.vm} on ${value.host}.`));
      await files.write(paths.permit(vm), file);
      return done(undefined);
    },
    forget: (vm) => files.remove(paths.permit(vm)),
  };
}
