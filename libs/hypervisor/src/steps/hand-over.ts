import { type ArtifactId, type ArtifactKind, keysOf, type SealedArtifact, unreachable, type VmId } from '@carnet/events';
import { refused, type Setback } from '../codes.ts';
import type { MigrationCommand } from '../command/command.ts';
import type { HostPaths } from '../host-paths.ts';
import type { HandOver } from '../ports/artifacts.ts';
import { readVm } from '../vm-record.ts';
import { dropSecrets, isOff, secretsLeft, stateOf } from './domains.ts';
import { finished, isGivenUp, moveFor, type Step, type StepContext, testify } from './step.ts';
import { stepKey } from './step-key.ts';

/** Only what was stopped in this very epoch, and is not coming back, may be sealed and served: later writes would not be in the root. */
async function notHeld(command: MigrationCommand, context: StepContext): Promise<Setback | undefined> {
  const { vm, epoch } = command;
  if (isGivenUp(context, command)) return refused('VM_RUNNING', 'It resumes.');
  const entry = await context.fence.read(vm);
  if (!entry.ok) return entry.setback;
  const { value } = entry;
  if (value?.standing === 'surrendered') return refused('VM_SURRENDERED');
  if (value?.epoch !== epoch || value.role !== 'source' || value.vcpus !== 'held')
    return refused('VM_RUNNING', 'It was not stopped in this epoch.');
  return isOff(await stateOf(context, vm)) ? undefined : refused('VM_RUNNING');
}

const handOver = ({ vm, migration, epoch }: MigrationCommand, round: number): HandOver => ({ vm, migration, epoch, round });

/** Path of an artifact that this host holds; kinds that no host of this version makes have none. */
function heldPath(paths: HostPaths, vm: VmId, artifact: ArtifactId, kind: ArtifactKind): string | undefined {
  switch (kind) {
    case 'disk':
      return paths.volume(vm, artifact);
    case 'memory':
      return paths.sealedMemory(vm, artifact);
    case 'vtpm':
      return paths.sealedVtpm(vm, artifact);
    case 'nvram':
      return undefined;
    default:
      return unreachable(kind);
  }
}

export const seal: Step<'seal'> = async (command, context) => {
  const { ports } = context;
  const stillRuns = await notHeld(command, context);
  if (stillRuns !== undefined) return stillRuns;
  const sealed: SealedArtifact[] = [];
  for (const { artifact, kind } of command.body.artifacts) {
    const path = heldPath(ports.paths, command.vm, artifact, kind);
    if (path === undefined) return refused('ARTIFACT_UNSUPPORTED', `(${kind})`);
    if ((await ports.files.size(path)) === undefined) return refused('ARTIFACT_MISSING', `(${artifact})`);
    const made = await ports.artifacts.seal({
      of: handOver(command, command.body.round),
      artifact,
      kind,
      path,
      chunkBytes: command.body.chunkBytes,
      signal: context.signal,
    });
    if (!made.ok) return made.setback;
    sealed.push(made.value);
  }
  return finished({ step: 'seal', round: command.body.round, artifacts: sealed });
};

/** Offers ciphertext to one pinned agent, for this migration, until a time. The share lives in memory: asked again after a restart. */
export const serve: Step<'serve'> = async (command, context) => {
  const { ports } = context;
  const { body, vm } = command;
  const stillRuns = await notHeld(command, context);
  if (stillRuns !== undefined) return stillRuns;
  // What was signed is what is offered: a file that was not sealed in this round has no root to check it by.
  const sealing = context.log.outcome(stepKey({ step: 'seal', epoch: command.epoch, round: body.round }))?.result;
  const sealed = sealing?.step === 'seal' ? sealing.artifacts : [];
  const artifacts: { readonly sealed: SealedArtifact; readonly path: string }[] = [];
  for (const wanted of body.artifacts) {
    const found = sealed.find(({ artifact }) => artifact === wanted);
    const path = found === undefined ? undefined : heldPath(ports.paths, vm, wanted, found.kind);
    if (found === undefined || path === undefined) return refused('ARTIFACT_MISSING', `(${wanted})`);
    artifacts.push({ sealed: found, path });
  }
  const shared = await ports.artifacts.serve({
    of: handOver(command, body.round),
    artifacts,
    peer: body.peer,
    until: body.until,
  });
  return shared.ok ? finished({ step: 'serve', dataPath: ports.artifacts.dataPath(), until: body.until }) : shared.setback;
};

/** Gives the VM away, before its key is released: from here on this host opens nothing and starts nothing of it. */
export const surrender: Step<'surrender'> = async (command, context) => {
  const { ports } = context;
  const { vm, epoch, migration } = command;
  if (isGivenUp(context, command)) return refused('VM_RUNNING', 'It resumes.');
  if (!isOff(await stateOf(context, vm))) return refused('VM_RUNNING');
  const spec = await readVm(ports.files, ports.paths, vm);
  if (spec === undefined) return refused('VM_NOT_HERE');
  await context.intend({});
  const given = await moveFor(context, command, { kind: 'surrender', epoch });
  if (!given.ok) return given.setback;
  await ports.artifacts.unserve(migration);
  const keys = keysOf(spec);
  await dropSecrets(context, keys);
  const left = await secretsLeft(context, keys);
  const state = await stateOf(context, vm);
  return finished(
    { step: 'surrender' },
    testify(context, command, 'surrendered', { state, secretsLeft: left, register: given.value.standing }),
  );
};
