import { failed, refused } from '../codes.ts';
import type { HostCommand } from '../command/command.ts';
import { isMigrationCommand, isVmCommand } from '../command/command.ts';
import type { StepProgress } from '../command/report.ts';
import { uuidOf } from '../host-paths.ts';
import { ENDS_REMEMBERED_MAX, LOOKS_AT_ONCE_MAX, TASKS_WAITING_MAX } from '../limits.ts';
import type { StepEnd } from '../steps/step.ts';
import { keyOf } from '../steps/step-key.ts';
import type { Watch } from './perform.ts';
import { type Slots, slots } from './slots.ts';

/** One step at work or waiting for its turn. */
export type Task = {
  readonly command: HostCommand;
  readonly end: Promise<StepEnd>;
  readonly progress: StepProgress | undefined;
  abort(): void;
};

/** Steps that undoing must not wait for: a copy of gigabytes that is no longer wanted. */
const CUT_SHORT: ReadonlySet<HostCommand['step']> = new Set(['receive', 'rekey', 'observe', 'seal']);
const UNDOING: ReadonlySet<HostCommand['step']> = new Set(['resume', 'standDown', 'forswear', 'destroy']);
/** Encrypting a volume again takes hours, looking for life a quarter of one; both can be taken up later: whoever wants the VM on, off or gone does not wait for it. */
const PUT_OFF: ReadonlySet<HostCommand['step']> = new Set(['reencrypt', 'observe']);
const PRESSING: ReadonlySet<HostCommand['step']> = new Set(['startVm', 'stopVm', 'deleteVm', 'standDown']);

/** What must get in however much waits, or whoever fills the board keeps a VM from being stopped or given back. */
const URGENT: ReadonlySet<HostCommand['step']> = new Set([...UNDOING, ...PRESSING]);

/** Looks only, in milliseconds, and people ask it while copies of hours are at work: in no line, and on no place that a copy could have. */
const isLook = ({ step }: HostCommand): boolean => step === 'inspect';

/** Steps that take as long as the data that lies here. */
const LONG: ReadonlySet<HostCommand['step']> = new Set([
  'rekey',
  'reencrypt',
  'seal',
  'observe',
  'createVm',
  'registerImage',
  'verifyImage',
]);

/**
 * Who shares places. What a peer sends comes at its pace, and has places of its own. Threat: some slow copies, and no VM of the host is stopped, given
 * back or started, though its key was released already.
 */
const poolOf = ({ step }: HostCommand): Pool => (step === 'receive' ? 'peers' : LONG.has(step) ? 'long' : 'short');
type Pool = 'peers' | 'long' | 'short';

/**
 * Steps of one UUID stand in one line, and so does what makes one image. Images are verified one at a time: each is read whole, readers may
 * ask for it, and they must not have every place.
 */
function lineOf(command: HostCommand): string {
  if (isVmCommand(command)) return uuidOf(command.vm);
  if (command.step === 'verifyImage') return command.step;
  return command.step === 'registerImage' ? `image:${command.body.name}` : `images:${command.id}`;
}

const whose = (command: HostCommand): string => (isVmCommand(command) ? command.vm : lineOf(command));

/** Whoever asks for an image that is being verified joins: it is not read once for each of them. */
const nameOf = (command: HostCommand): string =>
  command.step === 'verifyImage' ? `verifyImage ${command.body.name}` : `${whose(command)} ${keyOf(command)}`;

/** What the board itself needs of a task. */
type Posted = Task & { join(other: HostCommand): void };

/**
 * Who works when: one step at a time for each VM, in the order they came; so many VMs at once. The same step asked for again
 * joins the one at work; the same command asked for again gets the same end.
 */
export function taskBoard(stepsAtOnce: number, work: (command: HostCommand, watch: Watch) => Promise<StepEnd>) {
  const tasks = new Map<string, Posted>();
  const looks = new Map<string, Posted>();
  const boardOf = (command: HostCommand) => (isLook(command) ? looks : tasks);
  const ends = new Map<string, StepEnd>();
  const inTurn = turns(stepsAtOnce);

  const remember = (id: string, end: StepEnd): void => {
    ends.set(id, end);
    const oldest = ends.keys().next();
    if (ends.size > ENDS_REMEMBERED_MAX && oldest.done === false) ends.delete(oldest.value);
  };
  const begin = (command: HostCommand, name: string): Posted => {
    const stop = new AbortController();
    const askers = new Set<string>([command.id]);
    let asked = command;
    let progress: StepProgress | undefined;
    const tell = (now: StepProgress): void => {
      progress = now;
    };
    const run = async (): Promise<StepEnd> => {
      try {
        // Cut short before its turn came: nothing is begun that nobody wants.
        const end = stop.signal.aborted ? failed('STEP_ABORTED') : await work(asked, { signal: stop.signal, progress: tell });
        for (const id of askers) remember(id, end);
        return end;
      } finally {
        boardOf(command).delete(name);
      }
    };
    return {
      command,
      end: isLook(command) ? run() : inTurn(command, stop.signal, run),
      get progress() {
        return progress;
      },
      abort: () => stop.abort(),
      join: (other) => {
        // A step of a migration is tried again under a new id, and must not be answered by the end of an earlier try.
        if (isMigrationCommand(other) || askers.size >= ENDS_REMEMBERED_MAX) return;
        askers.add(other.id);
        // While it waits it is good for as long as the last of them waits for it.
        if (other.deadline > asked.deadline) asked = other;
      },
    };
  };
  /** What is urgent is taken up all the same, one of each step for a VM: its bound is the VMs of the host. */
  const isFull = (command: HostCommand): boolean => {
    if (isLook(command)) return looks.size >= LOOKS_AT_ONCE_MAX;
    if (tasks.size < TASKS_WAITING_MAX) return false;
    const isSame = (one: HostCommand): boolean => one.step === command.step && whose(one) === whose(command);
    return !URGENT.has(command.step) || [...tasks.values()].some((task) => isSame(task.command));
  };

  return {
    /** The end of exactly this command, if it ended lately. */
    endOf: (command: HostCommand): StepEnd | undefined => ends.get(command.id),
    /** At work, or waiting for its turn. */
    has: (command: HostCommand): boolean => boardOf(command).has(nameOf(command)),
    post: (command: HostCommand): Task | StepEnd => {
      const name = nameOf(command);
      const same = boardOf(command).get(name);
      if (same !== undefined) {
        same.join(command);
        return same;
      }
      // Before it is refused for want of room: what it cuts short is what takes the room.
      if (UNDOING.has(command.step)) cutShort(tasks.values(), command, CUT_SHORT);
      if (PRESSING.has(command.step)) cutShort(tasks.values(), command, PUT_OFF);
      if (isFull(command)) return refused('HOST_BUSY');
      const task = begin(command, name);
      boardOf(command).set(name, task);
      return task;
    },
    tasks: (): readonly Task[] => [...tasks.values(), ...looks.values()],
  };
}

/** One at a time in each line, in the order they came, and so many lines at once in each pool. Whoever is cut short waits for no place. */
function turns(atOnce: number) {
  const lines = new Map<string, Promise<unknown>>();
  const pools: Readonly<Record<Pool, Slots>> = { peers: slots(atOnce), long: slots(atOnce), short: slots(atOnce) };
  return (command: HostCommand, signal: AbortSignal, run: () => Promise<StepEnd>): Promise<StepEnd> => {
    const [line, places] = [lineOf(command), pools[poolOf(command)]];
    const turn = async (): Promise<StepEnd> => {
      const hasPlace = await places.enter(signal);
      try {
        return await run();
      } finally {
        if (hasPlace) places.leave();
      }
    };
    const end = (lines.get(line) ?? Promise.resolve()).then(turn);
    const settled = end.then(
      () => undefined,
      () => undefined,
    );
    lines.set(line, settled);
    void settled.then(() => void (lines.get(line) === settled && lines.delete(line)));
    return end;
  };
}

function cutShort(tasks: Iterable<Task>, by: HostCommand, steps: ReadonlySet<HostCommand['step']>): void {
  for (const task of tasks)
    if (whose(task.command) === whose(by) && steps.has(task.command.step) && !isOfNewerEpoch(task.command, by)) task.abort();
}

/** An undoing command that comes late cuts nothing of the attempts after it. */
const isOfNewerEpoch = (one: HostCommand, than: HostCommand): boolean =>
  isMigrationCommand(one) && isMigrationCommand(than) && one.epoch > than.epoch;
