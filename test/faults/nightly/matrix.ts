import { type Random, seeded } from '../../scenarios/sim/random.ts';
import type { Mode } from '../harness/moves.ts';

/** The events of a migration at which a fault comes, and in whose ledger each stands first. */
export const PHASES = [
  ['MigrationIntended', 'source'],
  ['MigrationOffered', 'target'],
  ['KeyDeposited', 'source'],
  ['TargetReady', 'target'],
  ['SourceQuiesced', 'source'],
  ['ImageSealed', 'source'],
  ['ImageVerified', 'target'],
  ['KeyReleased', 'source'],
  ['KeyImported', 'target'],
  ['StartAuthorized', 'target'],
  ['VmStarted', 'target'],
  ['MigrationFinalized', 'target'],
] as const;
export type Phase = (typeof PHASES)[number][0];
export type Role = 'source' | 'target';

export const PARTS = ['broker', 'agent', 'libvirtd', 'qemu', 'swtpm', 'postgresql', 'nats-server'] as const;
export type Part = (typeof PARTS)[number];
/** What has a file system of its own at each cloud. */
export const DISKS = ['volumes', 'agentState', 'brokerState', 'database'] as const;
export type Disk = (typeof DISKS)[number];
export type Fault =
  | { readonly kind: 'kill' | 'stop'; readonly part: Part }
  | { readonly kind: 'restart'; readonly part: Exclude<Part, 'swtpm'> }
  | { readonly kind: 'cut' | 'cut-out' | 'cut-in' | 'clock-ahead' | 'clock-behind' | 'corrupt-row' | 'old-backup' }
  | { readonly kind: 'disk-full'; readonly disk: Disk }
  | { readonly kind: 'stream-wiped' | 'stream-truncated' }
  | { readonly kind: 'data-cut' | 'data-cut-out' | 'data-cut-in' };

/** libvirt starts swtpm with its guest and ends it with it: under a QEMU that runs on there is no starting it again. */
const RESTARTED = ['broker', 'agent', 'libvirtd', 'qemu', 'postgresql', 'nats-server'] as const;
export const FAULTS: readonly Fault[] = [
  ...PARTS.flatMap((part): readonly Fault[] => [
    { kind: 'kill', part },
    { kind: 'stop', part },
  ]),
  ...RESTARTED.map((part): Fault => ({ kind: 'restart', part })),
  { kind: 'cut' },
  { kind: 'cut-out' },
  { kind: 'cut-in' },
  ...DISKS.map((disk): Fault => ({ kind: 'disk-full', disk })),
  { kind: 'clock-ahead' },
  { kind: 'clock-behind' },
  { kind: 'corrupt-row' },
  { kind: 'old-backup' },
  { kind: 'stream-wiped' },
  { kind: 'stream-truncated' },
  { kind: 'data-cut' },
  { kind: 'data-cut-out' },
  { kind: 'data-cut-in' },
];

export function nameOf(fault: Fault): string {
  if ('disk' in fault) return `${fault.kind} ${fault.disk}`;
  return 'part' in fault ? `${fault.kind} ${fault.part}` : fault.kind;
}

export type Cell = { readonly fault: Fault; readonly phase: Phase; readonly whose: Role | 'bus' };
export type Run = Cell & { readonly number: number; readonly mode: Mode; readonly longStop: boolean };

/** A guest and its TPM run at one side at a time, and between the two nowhere: elsewhere there is nothing to hit. */
const GUEST_AT: Readonly<Partial<Record<Phase, Role>>> = {
  MigrationIntended: 'source',
  MigrationOffered: 'source',
  KeyDeposited: 'source',
  TargetReady: 'source',
  StartAuthorized: 'target',
  VmStarted: 'target',
  MigrationFinalized: 'target',
};

const isOfGuest = (fault: Fault): boolean => 'part' in fault && (fault.part === 'qemu' || fault.part === 'swtpm');
const isOfBus = (fault: Fault): boolean =>
  fault.kind === 'stream-wiped' || fault.kind === 'stream-truncated' || ('part' in fault && fault.part === 'nats-server');

/** The target dials the source: there is one wire between the two, and its directions are the source's. */
const isOfDataPath = ({ kind }: Fault): boolean => kind === 'data-cut' || kind === 'data-cut-out' || kind === 'data-cut-in';

/** Whose victim the fault can have at that phase. */
export function victimsOf(fault: Fault, phase: Phase): readonly (Role | 'bus')[] {
  if (isOfBus(fault)) return ['bus'];
  if (isOfDataPath(fault)) return ['source'];
  if (!isOfGuest(fault)) return ['source', 'target'];
  const at = GUEST_AT[phase];
  return at === undefined ? [] : [at];
}

export const cellOf = ({ fault, phase, whose }: Cell): string => `${nameOf(fault)} ${phase} ${whose}`;

export const CELLS: readonly Cell[] = FAULTS.flatMap((fault) =>
  PHASES.flatMap(([phase]) => victimsOf(fault, phase).map((whose) => ({ fault, phase, whose }))),
);

function shuffled<T>(random: Random, all: readonly T[]): readonly T[] {
  const rest = [...all];
  return all.flatMap(() => rest.splice(random.below(rest.length), 1));
}

/** One stop in this many lasts the whole minute; the others are long enough for every time-out between the parts of one side. */
const LONG_STOP_EVERY = 12;

/**
 * All cells in the order of the seed: every fault once at some phase, then every fault at its next phase, and so on; every
 * phase of every fault with one victim before any with the other. More runs than cells begin anew.
 */
export function deckOf(seed: number, count: number, longStops: 'some' | 'all' | 'none' = 'some'): readonly Run[] {
  const random = seeded(seed);
  const rows = shuffled(random, FAULTS).map((fault) => {
    const picked = shuffled(random, PHASES).map(([phase]) =>
      shuffled(random, victimsOf(fault, phase)).map((whose) => ({ fault, phase, whose })),
    );
    return [0, 1].flatMap((round) => picked.flatMap((cells) => cells[round] ?? []));
  });
  const longest = Math.max(...rows.map((row) => row.length));
  const ordered = Array.from({ length: longest }, (_, at) => rows.flatMap((row) => row[at] ?? [])).flat();
  let stops = 0;
  return Array.from({ length: count }, (_, at): Run => {
    const cell = ordered[at % ordered.length];
    if (cell === undefined) throw new RangeError('expected a matrix with cells');
    const isLong = cell.fault.kind === 'stop' && ++stops % LONG_STOP_EVERY === 0;
    const longStop = longStops === 'some' ? isLong : longStops === 'all' && cell.fault.kind === 'stop';
    return { ...cell, number: at + 1, mode: random.chance(0.5) ? 'cold' : 'suspend', longStop };
  });
}
