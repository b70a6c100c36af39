import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '@carnet/dev';
import { intentOf, newMigration, settled } from '../harness/moves.ts';
import { consoleOf, domainsOf, type RealSide } from '../harness/real-side.ts';
import type { Hit } from './blow.ts';
import { audit, checkGuest, checkLedgers, checkTraces, keptOpen, type Life, lifeAt, powerOff, startAgain } from './checks.ts';
import { prepareFault, strike } from './faults.ts';
import { PHASES, type Run } from './matrix.ts';
import { guestProcess } from './processes.ts';
import { areUp, type World } from './world.ts';

export type Result = {
  readonly outcome: string;
  /** What the fault did, and what an operator had to do. */
  readonly notes: readonly string[];
  readonly failure?: string;
  readonly migration?: string;
  readonly seconds: number;
  /** How long a SIGSTOP was to last. */
  readonly stopSeconds: number;
  readonly hit: Hit['hit'];
  /** Of the guest's TPM, after this run. */
  readonly resets: number;
};

const SHORT_STOP_MS = 3_000;
const READY_MS_MAX = 60_000;
const EVENT_MS_MAX = 60_000;
const END_MS_MAX = 120_000;
const CRASH_SEEN_MS = 15_000;
const NOTICED_MS_MAX = 5_000;
const LOOK_MS = 250;
/** Refused: by a target whose disk is full when it is asked. */
const ENDINGS: ReadonlySet<string> = new Set(['done', 'rolled-back', 'withdrawn', 'refused']);

/** One migration to the other side, with one fault, and everything that must hold afterwards. Never throws. */
export async function runOne(
  world: World,
  run: Run,
  { stopSeconds, patience, resets }: { readonly stopSeconds: number; readonly patience: number; readonly resets: number },
): Promise<Result> {
  const startedMs = performance.now();
  const notes: string[] = [];
  const stopMs = run.longStop ? stopSeconds * 1_000 : SHORT_STOP_MS;
  const begun = { outcome: '-', migration: newMigration(), resets, hit: 'something', stopSeconds: stopMs / 1_000 } as const;
  const seconds = (): number => (performance.now() - startedMs) / 1_000;
  try {
    const ended = await moveUnderFault(world, run, {
      ...begun,
      stopMs,
      patience,
      note: (text) => void (text !== '' && notes.push(text)),
    });
    return { ...begun, ...ended, notes, seconds: seconds() };
  } catch (cause) {
    return { ...begun, notes, seconds: seconds(), failure: cause instanceof Error ? cause.message : String(cause) };
  }
}

type Given = {
  readonly migration: string;
  readonly resets: number;
  readonly stopMs: number;
  /** Every wait is so many times as long. */
  readonly patience: number;
  readonly note: (text: string) => void;
};

type Ended = Pick<Result, 'outcome' | 'resets' | 'hit'>;

async function moveUnderFault(world: World, run: Run, given: Given): Promise<Ended> {
  const sides = [world.a, world.b];
  const ready = async (): Promise<true | undefined> => ((await areUp(sides)) ? true : undefined);
  await eventually('hosts and peers that are ready', ready, READY_MS_MAX * given.patience);
  const [source, target] = domainsOf(world.a, '--all').length > 0 ? ([world.a, world.b] as const) : ([world.b, world.a] as const);
  await prepareFault(run.fault, world, run.whose === 'target' ? target : source);
  const before = await lifeAt(source, world.uuid, given.resets);
  const left = keptOpen(consoleOf(source, world.uuid));
  try {
    return await moveBetween(world, run, given, { source, target, before, left: left.path });
  } finally {
    left.close();
  }
}

type Begun = { readonly source: RealSide; readonly target: RealSide; readonly before: Life; readonly left: string };

async function moveBetween(
  world: World,
  run: Run,
  { migration, stopMs, patience, note }: Given,
  { source, target, before, left }: Begun,
): Promise<Ended> {
  await take(source, intentOf(world.vm, target.plan.domain, run.mode, migration));
  const role = PHASES.find(([phase]) => phase === run.phase)?.[1];
  await (role === 'source' ? source : target).watch.appears(migration, run.phase, EVENT_MS_MAX * patience);
  const blow = await strike(run.fault, world, run.whose === 'target' ? target : source, { migration, stopMs });
  blow.notes.forEach(note);
  if (isGuestKill(run)) note(await switchOn(world, target, migration));
  const { outcome } = await settled(world, migration, END_MS_MAX * patience);
  if (!ENDINGS.has(outcome)) throw new Error(`ended as ${outcome}`);
  const [holder, other] = outcome === 'done' ? [target, source] : [source, target];
  const seen = await blow.seen?.();
  seen?.notes.forEach(note);
  note((await restarted(holder, run)) ?? '');
  const after = await checkGuest(world, holder, before, left);
  await checkTraces(world, holder, other);
  await checkLedgers(world);
  await audit(world);
  return { outcome, resets: after.resets, hit: (seen ?? blow).hit };
}

const isTpmKill = ({ fault }: Run): boolean => fault.kind === 'kill' && 'part' in fault && fault.part === 'swtpm';

const isGuestKill = ({ fault }: Run): boolean =>
  fault.kind === 'kill' && 'part' in fault && (fault.part === 'qemu' || fault.part === 'swtpm');

/** A guest that died before its target saw it alive holds the move up until its operator there switches it on. */
async function switchOn(world: World, { api }: RealSide, migration: string): Promise<string> {
  const ended = await settled(world, migration, CRASH_SEEN_MS).catch(() => undefined);
  if (ended !== undefined) return '';
  return (await api.post(`/v1/vms/${world.vm}/on`, {})).ok ? 'switched on by its operator' : '';
}

/** A guest whose process died stays off until its operator starts it; one whose disk was full is paused by QEMU. */
async function restarted(holder: RealSide, run: Run): Promise<string | undefined> {
  const { fault } = run;
  const mayBeOff =
    ('part' in fault && (fault.part === 'qemu' || fault.part === 'swtpm')) || ('disk' in fault && fault.disk === 'volumes');
  if (!mayBeOff) return undefined;
  // Whoever still starts it by himself comes first.
  await sleep(1_000);
  if (isTpmKill(run) && (await guestProcess('swtpm', holder)) === undefined) powerOff(holder);
  // libvirtd may not have noticed yet that a guest is gone.
  for (let waitedMs = 0; waitedMs < NOTICED_MS_MAX; waitedMs += LOOK_MS) {
    const said = startAgain(holder);
    if (said !== undefined) return said;
    await sleep(LOOK_MS);
  }
  return undefined;
}

/** Doors are shut while a restored broker asks its peer; the same request again is the same migration. */
async function take({ api }: RealSide, intent: ReturnType<typeof intentOf>): Promise<void> {
  let last = '';
  try {
    await eventually(
      'an open door',
      async () => {
        const answer = await api.post('/v1/intents', intent);
        last = answer.ok ? '' : `${answer.code}: ${answer.text}`;
        return answer.ok ? true : undefined;
      },
      30_000,
    );
  } catch (cause) {
    throw new Error(`the intent was not taken: ${last}`, { cause });
  }
}
