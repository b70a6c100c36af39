import type { VmId, VmTpm } from '@carnet/events';
import { refused, type Setback } from '../codes.ts';
import type { ResultOf } from '../command/result.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import type { StepContext } from './step.ts';

/**
 * A vTPM's state is one file that swtpm keeps in libvirt's folder, encrypted under the VM's own key. While the VM moves, a copy of it lies beside
 * the volumes, as one artifact like any other: it is sealed, served, received and shredded as they are. A copy is good until the guest
 * runs again, and is gone before that: an old state would bring back what the guest has used up.
 */
export async function copyVtpm(
  { ports }: StepContext,
  vm: VmId,
  tpm: VmTpm | undefined,
): Promise<Outcome<ResultOf<'quiesce'>['artifacts']>> {
  if (tpm === undefined) return done([]);
  const { files, paths } = ports;
  const state = await files.read(paths.vtpmState(vm));
  if (state === undefined) return setBack(refused('VTPM_STATE_MISSING'));
  await files.write(paths.sealedVtpm(vm, tpm.artifact), state);
  return done([{ artifact: tpm.artifact, kind: 'vtpm', sizeBytes: state.byteLength }]);
}

/** What arrived, in the place where swtpm looks for it. Only while the VM is off. */
export async function placeVtpm({ ports }: StepContext, vm: VmId, { artifact }: VmTpm): Promise<Setback | undefined> {
  const { files, paths } = ports;
  const came = await files.read(paths.sealedVtpm(vm, artifact));
  // Placed before, by an attempt that went on to let the VM run.
  if (came === undefined) return (await hasVtpmState({ ports }, vm)) ? undefined : refused('ARTIFACT_MISSING', `(${artifact})`);
  await files.ensureDir(paths.vtpmStateDir(vm));
  await files.write(paths.vtpmState(vm), came);
  return undefined;
}

/** Before the guest runs: from then on swtpm's own file is the only true one. */
export async function endVtpmCopy({ ports }: Pick<StepContext, 'ports'>, vm: VmId, tpm: VmTpm | undefined): Promise<void> {
  if (tpm === undefined) return;
  const copy = ports.paths.sealedVtpm(vm, tpm.artifact);
  await ports.artifacts.unseal(copy);
  await ports.files.remove(copy);
}

export const hasVtpmState = async ({ ports }: Pick<StepContext, 'ports'>, vm: VmId): Promise<boolean> =>
  (await ports.files.size(ports.paths.vtpmState(vm))) !== undefined;
