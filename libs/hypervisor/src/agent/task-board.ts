import { refused } from '../codes.ts';
import type { HostCommand } from '../command/command.ts';
import { isMigrationCommand, isVmCommand } from '../command/command.ts';
import type { StepProgress } from '../command/report.ts';
import { ENDS_REMEMBERED_MAX, TASKS_WAITING_MAX } from '../limits.ts';
import type { StepEnd } from '../steps/step.ts';
import { keyOf } from '../steps/step-key.ts';
import type { Watch } from './perform.ts';
import { slots } from './slots.ts';

/** One step at work or waiting for its turn. */
export type Task = {
  readonly command: HostCommand;
  readonly end: Promise<StepEnd>;
  readonly progress: StepProgress | undefined;
  abort(): void;
};

/** Steps that undoing must not wait for: a copy of gigabytes that is no longer wanted. */
const CUT_SHORT: ReadonlySet<HostCommand['step']> = new Set(['receive', 'rekey', 'observe']);
const UNDOING: ReadonlySet<HostCommand['step']> = new Set(['standDown', 'forswear', 'destroy']);
/** Encrypting a volume again takes hours and can be taken up later: whoever wants the VM on, off or gone does not wait for it. */
const PUT_OFF: ReadonlySet<HostCommand['step']> = new Set(['reencrypt']);
const PRESSING: ReadonlySet<HostCommand['step']> = new Set(['startVm', 'stopVm', 'deleteVm', 'standDown']);

/** Steps of one VM stand in one line, and so does what makes one image; whatever only looks belongs to none. */
function lineOf(command: HostCommand): string {
  // Looks only, and people ask it while a copy of hours is at work.
  if (command.step === 'inspect') return `inspect:${command.id}`;
  if (isVmCommand(command)) return command.vm;
  return command.step === 'registerImage' ? `image:${command.body.name}` : `images:${command.id}`;
}

const nameOf = (command: HostCommand): string => `${lineOf(command)} ${keyOf(command)}`;

/**
 * Who works when: one step at a time for each VM, in the order they came; so many VMs at once. The same step asked for again
 * joins the one at work; the same command asked for again gets the same end.
 */
export function taskBoard(stepsAtOnce: number, work: (command: HostCommand, watch: Watch) => Promise<StepEnd>) {
  const tasks = new Map<string, Task>();
  const ends = new Map<string, StepEnd>();
  const lines = new Map<string, Promise<unknown>>();
  const places = slots(stepsAtOnce);

  const remember = (command: HostCommand, end: StepEnd): void => {
    ends.set(command.id, end);
    const oldest = ends.keys().next();
    if (ends.size > ENDS_REMEMBERED_MAX && oldest.done === false) ends.delete(oldest.value);
  };
  const begin = (command: HostCommand, name: string): Task => {
    const stop = new AbortController();
    let progress: StepProgress | undefined;
    const line = lineOf(command);
    const before = lines.get(line) ?? Promise.resolve();
    const run = async (): Promise<StepEnd> => {
      await before;
      await places.enter();
      try {
        const tell = (now: StepProgress): void => {
          progress = now;
        };
        const end = await work(command, { signal: stop.signal, progress: tell });
        remember(command, end);
        return end;
      } finally {
        places.leave();
        tasks.delete(name);
      }
    };
    const end = run();
    const settled = end.then(
      () => undefined,
      () => undefined,
    );
    lines.set(line, settled);
    void settled.then(() => void (lines.get(line) === settled && lines.delete(line)));
    return {
      command,
      end,
      get progress() {
        return progress;
      },
      abort: () => stop.abort(),
    };
  };

  return {
    /** The end of exactly this command, if it ended lately. */
    endOf: (command: HostCommand): StepEnd | undefined => ends.get(command.id),
    /** At work, or waiting for its turn. */
    has: (command: HostCommand): boolean => tasks.has(nameOf(command)),
    post: (command: HostCommand): Task | StepEnd => {
      const name = nameOf(command);
      const same = tasks.get(name);
      if (same !== undefined) return same;
      if (tasks.size >= TASKS_WAITING_MAX) return refused('HOST_BUSY');
      if (UNDOING.has(command.step)) cutShort(tasks.values(), command, CUT_SHORT);
      if (PRESSING.has(command.step)) cutShort(tasks.values(), command, PUT_OFF);
      const task = begin(command, name);
      tasks.set(name, task);
      return task;
    },
    tasks: (): readonly Task[] => [...tasks.values()],
  };
}

function cutShort(tasks: Iterable<Task>, by: HostCommand, steps: ReadonlySet<HostCommand['step']>): void {
  for (const task of tasks)
    if (lineOf(task.command) === lineOf(by) && steps.has(task.command.step) && !isOfNewerEpoch(task.command, by)) task.abort();
}

/** An undoing command that comes late cuts nothing of the attempts after it. */
const isOfNewerEpoch = (one: HostCommand, than: HostCommand): boolean =>
  isMigrationCommand(one) && isMigrationCommand(than) && one.epoch > than.epoch;
