import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { eventually, hold, type NatsNetwork } from '@carnet/dev';
import { z } from 'zod';
import { CSP_A, type CspPlan } from '../../../infra/dev/src/clouds/layout.ts';

/**
 * The bus in a network namespace of its own, with a wire (a veth pair) to each cloud. A cut wire loses packets without a word, as
 * a broken line does: the neighbour's address is replaced by one that nobody has, on the sender's end. TCP resends until it gives up.
 */
export type Network = NatsNetwork & {
  readonly addressFor: (plan: CspPlan) => string;
  readonly cut: (plan: CspPlan, direction: Direction) => void;
  readonly mend: (plan: CspPlan) => void;
  /** Packets that left for the bus, `out`, or for the cloud, `in`; on a cut wire they are lost. */
  readonly sent: (plan: CspPlan, directions: readonly Direction[]) => number;
  /** Packets of the agent that serves there, `out`, or to it, `in`: the data path is on this namespace's loopback. */
  readonly cutPort: (port: number, directions: readonly Direction[]) => void;
  readonly mendPort: () => void;
  /** So many packets were lost there until now. */
  readonly dropped: () => number;
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
  const packetsOf = (link: string, before: readonly string[]): number => {
    const [file = '', ...rest] = [...before, 'ip', '-s', '-j', 'link', 'show', 'dev', link];
    return sentPackets.parse(JSON.parse(execFileSync(file, rest, { encoding: 'utf8' })))[0].stats64.tx.packets;
  };
  const there = (...args: readonly string[]): void => {
    const [file = '', ...rest] = enter(['ip', ...args]);
    execFileSync(file, rest);
  };
  here('link', 'set', 'lo', 'up');
  execFileSync('tc', ['qdisc', 'add', 'dev', 'lo', 'clsact']);
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
    sent: (plan, directions) => {
      const wire = wireOf(plan);
      return directions
        .map((direction) => (direction === 'out' ? packetsOf(wire.here, []) : packetsOf(wire.there, enter([]))))
        .reduce((sum, one) => sum + one, 0);
    },
    cutPort: (port, directions) => {
      for (const direction of directions)
        execFileSync('tc', ['filter', 'add', ...ARRIVING, 'bpf', 'da', 'bytecode', droppingAll(port, direction)]);
    },
    mendPort: () => void execFileSync('tc', ['filter', 'del', ...ARRIVING]),
    dropped: () =>
      drops
        .parse(JSON.parse(execFileSync('tc', ['-s', '-j', 'qdisc', 'show', 'dev', 'lo'], { encoding: 'utf8' })))
        .reduce((sum, one) => sum + one.drops, 0),
  };
}

/** As `ip -s -j link show` and `tc -s -j qdisc show` say it. */
const sentPackets = z.tuple([z.object({ stats64: z.object({ tx: z.object({ packets: z.number() }) }) })]);
const drops = z.array(z.object({ drops: z.number() }));

const ARRIVING = ['dev', 'lo', 'ingress', 'protocol', 'ip', 'pref', '1'] as const;

/** A program for `tc-bpf(8)`: drops (2) what is IPv4 and TCP and has this port as its source or destination, lets all else pass (0). */
function droppingAll(port: number, direction: Direction): string {
  const portAt = ETHERNET_BYTES + (direction === 'out' ? 0 : 2);
  const program = [
    `40 0 0 ${ETHERNET_BYTES - 2}`, // the type of what is in the Ethernet frame
    '21 0 6 2048', // IPv4, or pass
    `48 0 0 ${ETHERNET_BYTES + 9}`, // its protocol
    '21 0 4 6', // TCP, or pass
    `177 0 0 ${ETHERNET_BYTES}`, // length of the IP header
    `72 0 0 ${portAt}`, // a port behind it
    `21 0 1 ${port}`,
    '6 0 0 2',
    '6 0 0 0',
  ];
  return [program.length, ...program].join(',');
}
const ETHERNET_BYTES = 14;

const networkOf = (pid: number): string => execFileSync('readlink', [`/proc/${pid}/ns/net`], { encoding: 'utf8' });
const isApart = ({ pid }: ChildProcess): boolean => pid !== undefined && networkOf(pid) !== networkOf(process.pid);
