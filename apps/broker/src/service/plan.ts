import type { EventData, Reason } from '@carnet/events';
import type { Plan, PlanStep } from './service.ts';

/** The steps of modes cold and suspend, each with what undoes it (protocol, section 7). */
const STEPS: readonly PlanStep[] = [
  { side: 'source', step: 'publish the intent', undo: 'withdraw' },
  { side: 'target', step: 'decide by its own policy, reserve room, offer', undo: 'release the reservation' },
  { side: 'source', step: 'preflight, agree, pin both agents', undo: 'withdraw' },
  { side: 'source', step: 'trial unlock, deposit all keys', undo: 'target destroys the deposit, source its release key' },
  { side: 'target', step: 'acknowledge the deposit, promise readiness', undo: 'relinquish' },
  { side: 'source', step: 'stop the VM and fence it', undo: 'resume it, memory state included' },
  { side: 'source', step: 'seal the image', undo: 'remove the manifests' },
  { side: 'target', step: 'fetch and verify every chunk', undo: 'destroy what arrived' },
  { side: 'source', step: 'release the keys: no unilateral return from here', undo: 'only the target can give the VM back' },
  { side: 'target', step: 'import the keys, try them on the image', undo: 'forswear the epoch, destroy, relinquish' },
  { side: 'target', step: 'start the VM, see it healthy', undo: 'migrate back' },
  { side: 'source', step: 'destroy keys and volumes, sign the receipt', undo: 'none' },
];

const SUSPEND_STEP = 'save the memory, sealed, stop the VM and fence it';

/** @param others targets that policy would allow instead */
export function planOf(data: EventData<'MigrationIntended'>, epoch: number, others: readonly Reason[]): Plan {
  const disks = data.spec.disks.reduce((sum, disk) => sum + disk.capacityBytes, 0);
  const memory = data.mode === 'suspend' ? data.spec.memoryMiB * 1_048_576 : 0;
  return {
    vm: data.vm,
    source: data.source,
    target: data.target,
    mode: data.mode,
    epoch,
    policy: {
      source: { allowed: data.policy.allowed, reasons: [...data.policy.reasons, ...others] },
      target: 'asked when the migration starts',
    },
    bytes: disks + memory,
    steps: STEPS.map((step) =>
      data.mode === 'suspend' && step.step.startsWith('stop the VM') ? { ...step, step: SUSPEND_STEP } : step,
    ),
  };
}
