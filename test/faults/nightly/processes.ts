import { setTimeout as sleep } from 'node:timers/promises';
import { type Daemon, hold } from '@carnet/dev';
import { killAndAwait, processesUnder, signalQuietly, stateOf } from '../../../infra/dev/src/processes.ts';
import { domainsOf, type RealSide } from '../harness/real-side.ts';
import { type Blow, hit, missed } from './blow.ts';
import type { Fault, Part } from './matrix.ts';
import type { World } from './world.ts';

/** Dead for this long before it is started again, in milliseconds. */
const DEAD_MS = 500;
/** A guest that is about to start or stop is not there for a moment. */
const GUEST_MS_MAX = 3_000;
const LOOK_MS = 20;

function unreachable(never: never): never {
  throw new Error(`unreachable: ${String(never)}`);
}

export function daemonOf(part: Exclude<Part, 'qemu' | 'swtpm'>, world: World, { csp }: RealSide): Daemon {
  switch (part) {
    case 'broker':
      return csp.broker;
    case 'agent':
      return csp.agent;
    case 'libvirtd':
      return csp.host;
    case 'postgresql':
      return csp.database;
    case 'nats-server':
      return world.federation.bus;
    default:
      return unreachable(part);
  }
}

const PROGRAMS = { qemu: 'qemu-system-', swtpm: 'swtpm' } as const;

/** The guest's own process, which libvirtd started: found by the host's directory in its arguments. */
export async function guestProcess(part: keyof typeof PROGRAMS, { csp }: RealSide): Promise<number | undefined> {
  for (let waitedMs = 0; waitedMs < GUEST_MS_MAX; waitedMs += LOOK_MS) {
    const found = processesUnder(csp.host.dirs.root).find(({ command }) =>
      command[0]?.split('/').at(-1)?.startsWith(PROGRAMS[part]),
    );
    if (found !== undefined) return found.pid;
    await sleep(LOOK_MS);
  }
  return undefined;
}

/** PostgreSQL is its postmaster and a process for each connection. */
const pidsOf = (part: Part, pid: number, { csp }: RealSide): readonly number[] =>
  part === 'postgresql' ? processesUnder(csp.paths.database).map((one) => one.pid) : [pid];

type OfProcess = Extract<Fault, { readonly part: Part }>;

/** Does it, and undoes it. */
export async function strikeProcess(fault: OfProcess, world: World, side: RealSide, stopMs: number): Promise<Blow> {
  const { kind, part } = fault;
  if (part === 'qemu' || part === 'swtpm') return strikeGuest(kind, part, side, stopMs);
  const daemon = daemonOf(part, world, side);
  if (kind === 'stop') return pause(pidsOf(part, daemon.pid, side), stopMs);
  if (kind === 'kill') {
    await daemon.kill('SIGKILL');
    await sleep(DEAD_MS);
  }
  await daemon.restart();
  return hit();
}

const NO_GUEST = 'no guest at that moment';

async function strikeGuest(kind: OfProcess['kind'], part: keyof typeof PROGRAMS, side: RealSide, stopMs: number): Promise<Blow> {
  if (kind === 'restart') return reset(side);
  const pid = await guestProcess(part, side);
  if (pid === undefined) return missed(NO_GUEST);
  if (kind === 'stop') return pause([pid], stopMs);
  await killAndAwait(pid);
  return hit();
}

/** As by the button on its case: QEMU goes on, the guest boots anew, and so does its TPM. */
async function reset(side: RealSide): Promise<Blow> {
  for (let waitedMs = 0; waitedMs < GUEST_MS_MAX; waitedMs += LOOK_MS) {
    const [name] = domainsOf(side, '--state-running');
    if (name !== undefined && isReset(side, name)) return hit();
    await sleep(LOOK_MS);
  }
  return missed(NO_GUEST);
}

/** It may stop between the look and the button. */
function isReset({ csp }: RealSide, name: string): boolean {
  try {
    csp.host.virsh('reset', name);
    return true;
  } catch {
    return false;
  }
}

async function pause(pids: readonly number[], ms: number): Promise<Blow> {
  const goOn = (): void => {
    for (const pid of pids) signalQuietly(pid, 'SIGCONT');
  };
  // Whoever ends the series meanwhile leaves nobody who stands still for ever: a session of PostgreSQL sees only then that its server is gone.
  const letGo = hold({ name: 'what stands still', stop: async () => goOn(), stopBlocking: goOn });
  for (const pid of pids) signalQuietly(pid, 'SIGSTOP');
  await sleep(ms);
  const states = pids.map(stateOf).filter((state) => state !== undefined);
  goOn();
  letGo();
  if (states.some((state) => state !== 'T')) throw new Error(`was to stand still, and is ${states.join('')}`);
  return states.length > 0 ? hit(`${ms / 1_000} s`) : missed('it had ended by itself');
}
