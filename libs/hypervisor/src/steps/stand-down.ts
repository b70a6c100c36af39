import { failed } from '../codes.ts';
import { moveFence } from '../fence/moves.ts';
import { uuidOf } from '../host-paths.ts';
import { readVm } from '../vm-record.ts';
import { clearTmpfs, dropSecrets, isOff, recordedKeys, secretsLeft, stateOf } from './domains.ts';
import { keysOnTheirWay } from './rekeying.ts';
import { finished, moveFor, type Step, testify } from './step.ts';

/**
 * The source runs the VM again in a higher epoch. The register first, then the power: nobody starts this copy in between, or ever
 * again. Power is cut: a graceful stop would let the second copy act for longer. Nothing is destroyed.
 */
export const standDown: Step<'standDown'> = async (command, context) => {
  const { vm, epoch } = command;
  const { ports, fence } = context;
  const entry = await fence.read(vm);
  if (!entry.ok) return entry.setback;
  const move = { kind: 'standDown', epoch } as const;
  const allowed = moveFence(entry.value, move, { vm, because: command.because, time: ports.clock.now() });
  if (!allowed.ok) return allowed.setback;
  await context.intend({});
  const moved = await moveFor(context, command, move);
  if (!moved.ok) return moved.setback;
  if (!isOff(await stateOf(context, vm))) await ports.hypervisor.powerOff(uuidOf(vm));
  await ports.permits.forget(vm);
  await clearTmpfs(context, vm);
  const spec = await readVm(ports.files, ports.paths, vm);
  const keys = [...recordedKeys(spec), ...keysOnTheirWay(context, epoch)];
  await dropSecrets(context, keys);
  const state = await stateOf(context, vm);
  if (!isOff(state)) return failed('VM_RUNNING');
  const left = await secretsLeft(context, keys);
  return finished(
    { step: 'standDown' },
    testify(context, command, 'surrendered', { state, secretsLeft: left, register: moved.value.standing }),
  );
};
