import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { eventually, hold, type NatsNetwork } from '@carnet/dev';
import { CSP_A, type CspPlan } from '../../../infra/dev/src/clouds/layout.ts';

/**
 * The bus in a network namespace of its own, with a wire (a veth pair) to each cloud. A cut wire loses packets without a word, as
 * a broken line does: the neighbour's address is replaced by one that nobody has, on the sender's end. TCP resends until it gives up.
 */
export type Network = NatsNetwork & {
  readonly addressFor: (plan: CspPlan) => string;
  readonly cut: (plan: CspPlan, direction: Direction) => void;
  readonly mend: (plan: CspPlan) => void;
};
/** Seen from the cloud. */
export type Direction = 'out' | 'in';

const NOBODY = '02:00:00:00:00:01';
const wireOf = ({ key }: CspPlan) => {
  const net = key === 'a' ? '10.77.1' : '10.77.2';
  return { here: `wire-${key}`, there: `bus-${key}`, cloud: `${net}.1`, bus: `${net}.2` };
};

export async function openNetwork(plans: readonly CspPlan[]): Promise<Network> {
  const hub = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' });
  hub.unref();
  const end = (): void => void hub.kill('SIGKILL');
  hold({ name: 'network of the bus', stop: async () => end(), stopBlocking: end });
  await eventually('a network namespace of its own', () => (isApart(hub) ? true : undefined));
  const enter = (command: readonly string[]): readonly string[] => ['nsenter', `--net=/proc/${hub.pid}/ns/net`, '--', ...command];
  const here = (...args: readonly string[]): void => void execFileSync('ip', [...args]);
  const there = (...args: readonly string[]): void => {
    const [file = '', ...rest] = enter(['ip', ...args]);
    execFileSync(file, rest);
  };
  here('link', 'set', 'lo', 'up');
  there('link', 'set', 'lo', 'up');
  for (const wire of plans.map(wireOf)) {
    here('link', 'add', wire.here, 'type', 'veth', 'peer', 'name', wire.there);
    here('link', 'set', wire.there, 'netns', String(hub.pid));
    here('addr', 'add', `${wire.cloud}/30`, 'dev', wire.here);
    there('addr', 'add', `${wire.bus}/30`, 'dev', wire.there);
    here('link', 'set', wire.here, 'up');
    there('link', 'set', wire.there, 'up');
  }
  return {
    enter,
    address: wireOf(CSP_A).bus,
    addressFor: (plan) => wireOf(plan).bus,
    cut: (plan, direction) => {
      const wire = wireOf(plan);
      if (direction === 'out') here('neigh', 'replace', wire.bus, 'lladdr', NOBODY, 'dev', wire.here, 'nud', 'permanent');
      else there('neigh', 'replace', wire.cloud, 'lladdr', NOBODY, 'dev', wire.there, 'nud', 'permanent');
    },
    mend: (plan) => {
      const wire = wireOf(plan);
      here('neigh', 'flush', 'dev', wire.here, 'nud', 'permanent');
      there('neigh', 'flush', 'dev', wire.there, 'nud', 'permanent');
    },
  };
}

const networkOf = (pid: number): string => execFileSync('readlink', [`/proc/${pid}/ns/net`], { encoding: 'utf8' });
const isApart = ({ pid }: ChildProcess): boolean => pid !== undefined && networkOf(pid) !== networkOf(process.pid);
