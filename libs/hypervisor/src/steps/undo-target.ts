import { failed, refused } from '../codes.ts';
import { moveFence } from '../fence/moves.ts';
import { uuidOf } from '../host-paths.ts';
import { dropLease } from '../leases.ts';
import { readVm } from '../vm-record.ts';
import { clearTmpfs, dropSecrets, isOff, recordedKeys, stateOf } from './domains.ts';
import { keysOnTheirWay } from './rekeying.ts';
import { fateFacts, fatesOf, lookBeforeShredding, shredAll } from './shred.ts';
import { finished, moveFor, type Step, testify } from './step.ts';

/** Swears that this epoch never runs here. The register first, then the power: nobody can start it in between. */
export const forswear: Step<'forswear'> = async (command, context) => {
  const { vm, epoch } = command;
  const { ports, fence } = context;
  const entry = await fence.read(vm);
  if (!entry.ok) return entry.setback;
  const allowed = moveFence(entry.value, { kind: 'forswear', epoch }, { vm, because: command.because, time: ports.clock.now() });
  if (!allowed.ok) return allowed.setback;
  await context.intend({});
  const sworn = await moveFor(context, command, { kind: 'forswear', epoch });
  if (!sworn.ok) return sworn.setback;
  const spec = await readVm(ports.files, ports.paths, vm);
  if (!isOff(await stateOf(context, vm))) await ports.hypervisor.powerOff(uuidOf(vm));
  await clearTmpfs(context, vm);
  await dropSecrets(context, recordedKeys(spec));
  const state = await stateOf(context, vm);
  if (!isOff(state)) return failed('VM_RUNNING');
  // `may-run` is durable before any vCPU runs, and the move above refuses an epoch that has it.
  return finished(
    { step: 'forswear', epoch },
    testify(context, command, 'never', { state, register: sworn.value.standing, vcpusRan: false }),
  );
};

/** Removes everything that arrived or was made for an epoch which was forsworn, or in which this copy stood down. */
export const destroy: Step<'destroy'> = async (command, context) => {
  const { vm, epoch } = command;
  const { ports, fence } = context;
  const { files, paths, hypervisor } = ports;
  const entry = await fence.read(vm);
  if (!entry.ok) return entry.setback;
  const { value } = entry;
  if (value?.epoch !== epoch || value.role !== 'target' || value.standing === 'mine') return refused('NOT_FORSWORN');
  if (!isOff(await stateOf(context, vm))) return refused('VM_RUNNING');
  const spec = await readVm(files, paths, vm);
  const folders = [paths.staging(vm, epoch), paths.home(vm), paths.vtpmHome(vm)];
  const seen = await context.intend(await lookBeforeShredding(context, folders));
  await hypervisor.undefine(uuidOf(vm));
  await dropSecrets(context, [...recordedKeys(spec), ...keysOnTheirWay(context, epoch)]);
  await clearTmpfs(context, vm);
  await shredAll(context, folders);
  await dropLease(ports, { vm, epoch });
  await ports.permits.forget(vm);
  await files.remove(paths.spec(vm));
  const fates = fatesOf(seen);
  const artifacts = fates.map(({ artifact }) => artifact);
  const left = (await Promise.all(folders.map((folder) => files.list(folder)))).flat().length;
  const state = await stateOf(context, vm);
  return finished(
    { step: 'destroy', artifacts, fates },
    testify(context, command, 'destroyed', { state, filesLeft: left, artifacts: artifacts.length, ...fateFacts(fates) }),
  );
};
