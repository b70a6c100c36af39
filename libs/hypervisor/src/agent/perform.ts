import type { Timestamp, VmId } from '@carnet/events';
import { claimUuid, uuidFault } from '../claim.ts';
import { refused, type Setback } from '../codes.ts';
import { type HostCommand, isMigrationCommand, isVmCommand, type VmCommand } from '../command/command.ts';
import type { StepProgress } from '../command/report.ts';
import type { FenceRegister } from '../fence/register.ts';
import type { Outcome } from '../outcome.ts';
import type { HostPorts } from '../ports/host-ports.ts';
import { openStepLog, type StepLog, type StepRecord } from '../step-log.ts';
import { type HostIdentity, type StepContext, type StepEnd, setbackOf } from '../steps/step.ts';
import { contentDigest, isRecorded, keyOf } from '../steps/step-key.ts';
import { dispatch } from './dispatch.ts';

export type Performer = {
  readonly self: HostIdentity;
  readonly ports: HostPorts;
  readonly fence: FenceRegister;
};

export type Watch = { readonly signal: AbortSignal; progress(now: StepProgress): void };

/** Images belong to no VM: nothing of them is fenced or logged. */
const NO_LOG: StepLog = { intent: () => undefined, outcome: () => undefined, append: async () => undefined };

/** Opens each VM's log once; a damaged one is looked at again, so that a repair needs no restart. */
export function logShelf(ports: HostPorts): (vm: VmId) => Promise<Outcome<StepLog>> {
  const open = new Map<VmId, Promise<Outcome<StepLog>>>();
  return async (vm) => {
    const known = open.get(vm);
    if (known !== undefined) return known;
    // Kept before it is there: two that ask at once share one log, or one would not know what the other appends.
    const opening = openStepLog(ports.files, ports.paths, vm);
    open.set(vm, opening);
    let isOpen = false;
    try {
      const opened = await opening;
      isOpen = opened.ok;
      return opened;
    } finally {
      if (!isOpen) open.delete(vm);
    }
  };
}

/** An older epoch's command is refused whatever its attempt, before the log could answer it (protocol, section 8). */
async function fencedOff(command: VmCommand, fence: FenceRegister): Promise<Setback | undefined> {
  const entry = await fence.read(command.vm);
  if (!entry.ok) return entry.setback;
  return isMigrationCommand(command) && command.epoch < (entry.value?.epoch ?? 0) ? refused('EPOCH_FENCED') : undefined;
}

/**
 * A command of people, about a VM or an image, whose turn came late: whoever asked was told since that it was not done, and has gone on. What belongs
 * to a migration is guarded by its epoch, and waits for its turn however long that takes.
 */
const isLate = (command: HostCommand, now: Timestamp): boolean => !isMigrationCommand(command) && command.deadline < now;

/** Intent → effect → observe → record. The recorded outcome of a step answers every repeat of it. */
export async function perform(
  command: HostCommand,
  { self, ports, fence }: Performer,
  openLog: (vm: VmId) => Promise<Outcome<StepLog>>,
  watch: Watch,
): Promise<StepEnd> {
  const secrets: Uint8Array[] = [];
  try {
    if (isLate(command, ports.clock.now())) return refused('COMMAND_EXPIRED');
    const taken = isVmCommand(command) ? await uuidFault(ports, command.vm) : undefined;
    if (taken !== undefined) return taken;
    const opened: Outcome<StepLog> = isVmCommand(command) ? await openLog(command.vm) : { ok: true, value: NO_LOG };
    if (!opened.ok) return opened.setback;
    const log = opened.value;
    const off = isVmCommand(command) ? await fencedOff(command, fence) : undefined;
    if (off !== undefined) return off;
    const [key, content] = [keyOf(command), contentDigest(command)];
    const earlier = log.outcome(key) ?? log.intent(key);
    if (earlier !== undefined && earlier.content !== content) return refused('STEP_CONFLICT');
    if (earlier?.record === 'outcome') return endOf(earlier);
    const common = { v: 1, key, id: command.id, content } as const;
    const append = async (record: StepRecord): Promise<void> => {
      if (isVmCommand(command)) await claimUuid(ports, command.vm);
      await log.append(record);
    };
    const context: StepContext = {
      self,
      ports,
      fence,
      log,
      ...watch,
      keep: (secret) => void secrets.push(secret),
      intend: async (seen) => {
        const first = log.intent(key);
        if (first !== undefined) return first.seen;
        await append({ ...common, record: 'intent', time: ports.clock.now(), seen });
        return seen;
      },
    };
    const end = await dispatch(command, context);
    if (end.status === 'done' && isRecorded(command)) {
      const { result, evidence } = end;
      const record = { ...common, record: 'outcome', time: ports.clock.now(), result } as const;
      await append(evidence === undefined ? record : { ...record, evidence });
    }
    return end;
  } catch (cause) {
    const setback = setbackOf(cause, watch.signal);
    ports.log.warn({ err: cause, step: command.step, code: setback.code }, 'step failed');
    return setback;
  } finally {
    // Best effort: JavaScript may have copied them (protocol, section 6).
    for (const secret of secrets) secret.fill(0);
  }
}

const endOf = ({ result, evidence }: Extract<ReturnType<StepLog['outcome']>, object>): StepEnd =>
  evidence === undefined ? { status: 'done', result } : { status: 'done', result, evidence };
