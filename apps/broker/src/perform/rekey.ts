import type { DepositedKey, RekeyedVolume, VmSpec } from '@carnet/events';
import type { ResultOf } from '@carnet/hypervisor';
import type { Replacement } from '../keys/handover-keys.ts';
import { failed, type Performer, propose, secret, stepOf, unfinished } from './context.ts';

/**
 * Keys of our own for the volumes that arrived, before anything is authorised: a refusal still gives the VM back. The new keys
 * are in our key manager before the host touches a header; the old ones are destroyed in the transaction of the event that says so.
 */
export const replaceKeys: Performer<'ReplaceKeys'> = async (context, command) => {
  const { MigrationIntended: intent, MigrationOffered: offer, KeyDeposited: deposit, KeyImported: imported } = command.facts;
  const { host } = offer.data.agent;
  const replacements = await context.keys.replacements(command);
  const rekeyed = await context.hosts.step(stepOf(command, host), 'rekey', async () => ({
    method: command.method,
    volumes: await Promise.all(
      replacements.map(async ({ old, key }) => ({
        artifact: old.artifact,
        capacityBytes: old.capacityBytes,
        ...(old.headerDigest === undefined ? {} : { headerDigest: old.headerDigest }),
        from: await secret(context, command, host, 'rekey', old.key),
        to: await secret(context, command, host, 'rekey', key),
      })),
    ),
  }));
  if (rekeyed.kind !== 'done') return unfinished(rekeyed);
  const { evidence, result } = rekeyed;
  if (evidence === undefined) return failed('EVIDENCE_MISSING', 'the host gave no signed evidence');
  const volumes = volumesOf(replacements, result.volumes);
  return propose(context, command, async (tx) => {
    await context.keys.endReplaced(tx.db, command, deposit.data.keys);
    await context.inventory.respec(tx.db, command.vm, specWith(intent.data.spec, volumes));
    return {
      type: 'VolumeRekeyed',
      migration: command.migration,
      data: { method: command.method, imported: imported.digest, volumes, evidence },
    };
  });
};

/** The host's facts by artifact. A host that tells of fewer volumes than it was asked for is broken. */
function volumesOf(replacements: readonly Replacement[], facts: ResultOf<'rekey'>['volumes']): readonly RekeyedVolume[] {
  return replacements.map(({ old, key, version }) => {
    const found = facts.find(({ artifact }) => artifact === old.artifact);
    if (found === undefined) throw new Error(`the host reported no volume ${old.artifact}`);
    return {
      artifact: old.artifact,
      from: { key: old.key, version: old.version, headerDigest: found.before },
      to: { key, version, headerDigest: found.after },
    };
  });
}

/** The VM as it is from here on: the same disks, opened by other keys. */
export const specWith = (spec: VmSpec, volumes: readonly RekeyedVolume[]): VmSpec => ({
  ...spec,
  disks: spec.disks.map((disk) => ({
    ...disk,
    key: volumes.find(({ artifact }) => artifact === disk.artifact)?.to.key ?? disk.key,
  })),
});

export const diskKeys = (keys: readonly DepositedKey[]): readonly DepositedKey[] => keys.filter(({ kind }) => kind === 'disk');
