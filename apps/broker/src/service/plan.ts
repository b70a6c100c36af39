import { type EventData, isBeforeStart, type MigrationId, type MigrationMode, type Reason } from '@carnet/events';
import type { ResultOf } from '@carnet/hypervisor';
import type { Journal } from '@carnet/journal';
import type { MigrationViews } from '@carnet/views';
import type { HostClient } from '../hosts/client.ts';
import type { HeldVm } from '../inventory.ts';
import { reasonOf } from '../reason.ts';
import type { Drafted } from './intake.ts';
import { shownState } from './machines.ts';
import { type Move, moveOf, rateOf, stopSecondsOf } from './predict.ts';
import type { Plan, PlanBasis, PlanStep } from './service.ts';

export interface PlanPorts {
  readonly hosts: Pick<HostClient, 'sign' | 'ask'>;
  readonly views: Pick<MigrationViews, 'list'>;
  readonly journal: Pick<Journal, 'eventsOfMigrations'>;
}

const ONLINE_STEP = 'encrypt each volume again under a key that the source never knew, while the VM runs';

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
  { side: 'target', step: 'replace the keys of the volumes', undo: 'forswear the epoch, destroy, relinquish' },
  { side: 'target', step: 'start the VM, see it healthy', undo: 'migrate back' },
  { side: 'target', step: ONLINE_STEP, undo: 'migrate back' },
  { side: 'source', step: 'destroy keys and volumes, sign the receipt', undo: 'none' },
];

const SUSPEND_STEP = 'save the memory, sealed, stop the VM and fence it';

/** What stands in place of the step that says nothing of how. */
const REKEY_STEPS = {
  slot: 'swap the key slot of each volume: the old passphrase opens it no longer',
  full: 'encrypt each volume again under a key that the source never knew; the VM stands still for it',
} as const;

const stepsOf = (data: EventData<'MigrationIntended'>): readonly PlanStep[] => STEPS.flatMap((step) => stepFor(data, step));

function stepFor({ mode, rekey = 'none' }: EventData<'MigrationIntended'>, step: PlanStep): readonly PlanStep[] {
  if (step.step === ONLINE_STEP) return rekey === 'full-online' ? [step] : [];
  if (step.step.startsWith('replace the keys')) return isBeforeStart(rekey) ? [{ ...step, step: REKEY_STEPS[rekey] }] : [];
  return [mode === 'suspend' && step.step.startsWith('stop the VM') ? { ...step, step: SUSPEND_STEP } : step];
}

/**
 * What the move would do and cost, as far as this CSP can know. The peer is not asked.
 *
 * @param others targets that policy would allow instead
 */
export async function planOf(ports: PlanPorts, { data, nextEpoch, held }: Drafted, others: readonly Reason[]): Promise<Plan> {
  const seen = await inspected(ports, held);
  const basis = await basisOf(ports, data, seen);
  return {
    vm: data.vm,
    source: data.source,
    target: data.target,
    mode: data.mode,
    epoch: nextEpoch,
    policy: {
      source: { allowed: data.policy.allowed, reasons: [...data.policy.reasons, ...others] },
      target: 'asked when the migration starts',
    },
    bytes: basis.diskBytes + basis.memoryBytes,
    stopSeconds: standsStill(basis.state) ? 0 : stopSecondsOf({ mode: data.mode, ...basis }, basis.rate),
    basis,
    warnings: warningsOf(data.mode, held, basis.state),
    steps: stepsOf(data),
  };
}

const standsStill = (state: PlanBasis['state']): boolean => state !== 'running' && state !== 'paused' && state !== 'unknown';

/** Asked once: a plan is read by somebody who waits, and it says when the host kept silent. */
async function inspected({ hosts }: PlanPorts, { host, vm }: HeldVm): Promise<ResultOf<'inspect'> | undefined> {
  const reply = await hosts.ask(hosts.sign({ step: 'inspect', host, vm, body: {} }));
  return reply.status === 'done' && reply.result.step === 'inspect' ? reply.result : undefined;
}

async function basisOf(
  ports: PlanPorts,
  { spec, mode, target }: EventData<'MigrationIntended'>,
  seen: ResultOf<'inspect'> | undefined,
): Promise<PlanBasis> {
  const sizes = new Map(seen?.volumes.map(({ artifact, sizeBytes }) => [artifact, sizeBytes]));
  const isSeen = spec.disks.every(({ artifact }) => sizes.has(artifact));
  return {
    state: shownState(seen?.state),
    diskBytes: spec.disks.reduce((sum, disk) => sum + (isSeen ? (sizes.get(disk.artifact) ?? 0) : disk.capacityBytes), 0),
    diskBytesFrom: isSeen ? 'host' : 'capacity',
    memoryBytes: mode === 'suspend' ? spec.memoryMiB * 1_048_576 : 0,
    rate: rateOf(await movesWith(ports, target), mode),
  };
}

/** Moves that a rate is measured on: the newest say most about today's link and hosts. */
const MOVES_MAX = 8;
/** Ended migrations that are looked through for moves with one peer. */
const LOOKED_THROUGH_MAX = 500;

async function movesWith({ views, journal }: PlanPorts, peer: string): Promise<readonly Move[]> {
  const done = (await views.list({ open: false, limit: LOOKED_THROUGH_MAX }))
    .filter(({ outcome, source, target }) => outcome === 'done' && (source === peer || target === peer))
    .slice(0, MOVES_MAX);
  const ids: readonly MigrationId[] = done.map(({ migration }) => migration);
  const events = (await journal.eventsOfMigrations(ids)).flatMap(({ event, voidCode }) =>
    event === undefined || voidCode !== undefined ? [] : [event],
  );
  return ids.flatMap((id) => moveOf(events.filter((one) => 'migration' in one && one.migration === id)) ?? []);
}

/** What this side would stumble over, found without trying it. */
function warningsOf(mode: MigrationMode, { host }: HeldVm, state: PlanBasis['state']): readonly Reason[] {
  if (state === 'unknown')
    return [reasonOf('HOST_UNAVAILABLE', `host ${host} did not say how large the disks are, nor whether the VM runs`)];
  return mode === 'suspend' && state !== 'running'
    ? [reasonOf('VM_NOT_RUNNING', `the VM is ${state}: there is no memory to save, and its host would refuse; cold moves it`)]
    : [];
}
