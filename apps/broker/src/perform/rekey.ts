import type { DepositedKey, HostName, RekeyedVolume, VmSpec } from '@carnet/events';
import type { CommandOf as HostCommandOf, ResultOf } from '@carnet/hypervisor';
import type { StepOutcome } from '../hosts/steps.ts';
import type { Rekeying, Replacement } from '../keys/handover-keys.ts';
import { failed, type PerformContext, type Performed, type Performer, propose, secret, stepOf, unfinished } from './context.ts';
import { unlessWhole } from './whole.ts';

/** Keys of our own for the volumes that arrived, before anything is authorised: a refusal still gives the VM back. */
export const replaceKeys: Performer<'ReplaceKeys'> = async (context, command) => {
  const { host } = command.facts.MigrationOffered.data.agent;
  const lost = await unlessWhole(context, command, 'give-back');
  if (lost !== undefined) return lost;
  const replacements = await context.keys.replacements(command);
  const rekeyed = await context.hosts.step(stepOf(command, host), 'rekey', async () => ({
    method: command.method,
    volumes: await volumesFor(context, command, host, replacements),
  }));
  return rekeyed.kind === 'done' ? recordRekeyed(context, command, replacements, rekeyed) : unfinished(rekeyed);
};

/** The same for the VM that runs here already, where there is no giving back: a refusal is tried again, and nothing is final meanwhile. */
export const reencryptVolumes: Performer<'ReencryptVolumes'> = async (context, command) => {
  const { host } = command.facts.StartAuthorized.data;
  const lost = await unlessWhole(context, command, 'wait');
  if (lost !== undefined) return lost;
  const replacements = await context.keys.replacements(command);
  const rekeyed = await context.hosts.step(stepOf(command, host), 'reencrypt', async () => ({
    volumes: await volumesFor(context, command, host, replacements),
  }));
  return rekeyed.kind === 'done' ? recordRekeyed(context, command, replacements, rekeyed) : unfinished(rekeyed);
};

const volumesFor = (
  context: PerformContext,
  command: Rekeying,
  host: HostName,
  replacements: readonly Replacement[],
): Promise<HostCommandOf<'rekey'>['body']['volumes']> =>
  Promise.all(
    replacements.map(async ({ old, key }) => ({
      artifact: old.artifact,
      capacityBytes: old.capacityBytes,
      ...(old.headerDigest === undefined ? {} : { headerDigest: old.headerDigest }),
      from: await secret(context, command, host, 'rekey', old.key),
      to: await secret(context, command, host, 'rekey', key),
    })),
  );

/**
 * The new keys are in our key manager before the host touches a header; the old ones are destroyed in the transaction of the event that
 * says so.
 */
async function recordRekeyed(
  context: PerformContext,
  command: Rekeying,
  replacements: readonly Replacement[],
  { evidence, result }: Extract<StepOutcome<'rekey' | 'reencrypt'>, { readonly kind: 'done' }>,
): Promise<Performed> {
  const { MigrationIntended: intent, KeyDeposited: deposit, KeyImported: imported } = command.facts;
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
}

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
