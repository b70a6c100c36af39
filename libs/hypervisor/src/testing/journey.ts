import type { RekeyMethod } from '@carnet/events';
import type { HostReply } from '../command/report.ts';
import type { FakeHost } from '../fake/host.ts';
import {
  ask,
  BECAUSE,
  CAPACITY,
  DISK,
  MEMORY,
  MEMORY_SECRET,
  NEW_SECRET,
  NEW_SECRETS,
  NEW_SPEC,
  ofEpoch,
  SECRET,
  SECRETS,
  SPEC,
  UNTIL,
  VTPM,
} from './drive.ts';

type Mode = 'cold' | 'suspend';
export type Side = { readonly host: FakeHost; readonly name: string };

/** One command of a migration, to be asked on one side. Bodies may need what an earlier step found. */
type Move = {
  readonly on: 'source' | 'target';
  readonly step: Parameters<typeof ask>[2];
  readonly body: (found: Found) => unknown;
};
type Found = Map<string, HostReply>;

const resultOf = (found: Found, step: string): Record<string, unknown> => {
  const reply = found.get(step);
  return reply?.status === 'done' ? { ...reply.result } : {};
};

/** The whole hand-over in the order of the protocol, as the brokers of both sides ask for it. */
export const moves = (mode: Mode, targetLeaf: string, sourceLeaf: string, rekey: RekeyMethod = 'none'): readonly Move[] => {
  const memory = mode === 'suspend' ? { memory: MEMORY_SECRET } : {};
  const artifacts = [
    { artifact: DISK, kind: 'disk' },
    { artifact: VTPM, kind: 'vtpm' },
    ...(mode === 'suspend' ? [{ artifact: MEMORY, kind: 'memory' }] : []),
  ];
  const locked = [{ artifact: DISK, capacityBytes: CAPACITY, secret: SECRET }];
  const volumes = [{ artifact: DISK, capacityBytes: CAPACITY, from: SECRET, to: NEW_SECRET }];
  const replaced: readonly Move[] =
    rekey === 'none' ? [] : [{ on: 'target', step: 'rekey', body: () => ({ method: rekey, volumes }) }];
  const own = rekey === 'none' ? { spec: SPEC, secrets: SECRETS } : { spec: NEW_SPEC, secrets: NEW_SECRETS };
  return [
    { on: 'source', step: 'preflight', body: () => ({ spec: SPEC, mode }) },
    { on: 'target', step: 'reserve', body: () => ({ spec: SPEC, mode, until: UNTIL, rekey }) },
    { on: 'source', step: 'trialUnlock', body: () => ({ where: 'volumes', volumes: locked }) },
    { on: 'source', step: 'quiesce', body: () => ({ mode, graceSeconds: 1, ...memory }) },
    { on: 'source', step: 'seal', body: () => ({ round: 0, chunkBytes: 1_048_576, artifacts }) },
    {
      on: 'source',
      step: 'serve',
      body: () => ({ round: 0, artifacts: artifacts.map(({ artifact }) => artifact), peer: [targetLeaf], until: UNTIL }),
    },
    {
      on: 'target',
      step: 'receive',
      body: (found) => ({
        round: 0,
        dataPath: resultOf(found, 'preflight')['dataPath'],
        peer: [sourceLeaf],
        artifacts: resultOf(found, 'seal')['artifacts'],
      }),
    },
    { on: 'source', step: 'surrender', body: () => ({}) },
    { on: 'target', step: 'trialUnlock', body: () => ({ where: 'staging', volumes: locked }) },
    ...replaced,
    { on: 'target', step: 'start', body: () => ({ ...own, vcpus: 'run', ...memory }) },
    { on: 'target', step: 'observe', body: () => ({ signs: 'console', withinSeconds: 5 }) },
    { on: 'source', step: 'retire', body: () => ({}) },
  ];
};

/** What undoes a move that stopped before the target's start. */
export const undoing = (mode: Mode): readonly Move[] => [
  { on: 'target', step: 'forswear', body: () => ({}) },
  { on: 'target', step: 'destroy', body: () => ({}) },
  {
    on: 'source',
    step: 'resume',
    body: () => ({
      proof: { kind: 'relinquished', event: BECAUSE },
      secrets: SECRETS,
      ...(mode === 'suspend' ? { memory: MEMORY_SECRET } : {}),
    }),
  },
];

/** Asks every move, each again after `between` and until it is done; a crash in the middle must not matter. */
export async function play(
  sides: { readonly source: Side; readonly target: Side },
  list: readonly Move[],
  n: number,
  between: (move: Move) => void = () => undefined,
): Promise<Found> {
  const found: Found = new Map();
  for (const move of list) {
    const { host, name } = sides[move.on];
    let reply: HostReply | undefined;
    for (let tries = 0; tries < 4 && reply?.status !== 'done'; tries += 1) {
      reply = await ask(host.agent, name, move.step, move.body(found), ofEpoch(n));
      between(move);
    }
    if (reply?.status !== 'done') throw new Error(`${move.step} on the ${move.on}: ${JSON.stringify(reply)}`);
    if (!(move.step === 'trialUnlock' && found.has(move.step))) found.set(move.step, reply);
  }
  return found;
}

export async function createRunning({ host, name }: Side): Promise<void> {
  const created = await ask(host.agent, name, 'createVm', { spec: SPEC, secrets: SECRETS });
  const started = await ask(host.agent, name, 'startVm', { secrets: SECRETS });
  for (const reply of [created, started]) if (reply.status !== 'done') throw new Error(JSON.stringify(reply));
}
