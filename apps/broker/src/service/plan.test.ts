import { type Event, hostName } from '@carnet/events';
import { describe, expect, it } from 'vitest';
import { CSP_A, CSP_B, DISK, intentData, migration, SPEC, VM } from '../../../../libs/saga/src/testing.ts';
import { type PlanPorts, planOf } from './plan.ts';
import { ASSUMED_AROUND_SECONDS, ASSUMED_BYTES_PER_SECOND, moveOf, rateOf, stopSecondsOf } from './predict.ts';

const MIB = 1_048_576;
const at = (second: number): string => new Date(Date.parse('2026-11-23T10:00:00.000Z') + second * 1_000).toISOString();
const fact = (n: number, type: string, second: number, data: object): Event =>
  ({ type, migration: migration(n), time: at(second), data }) as unknown as Event;

/** Stopped at 2, moved from 3 to 13, started at 16: 10 s for the bytes, 4 s around them. The peer's clock is an hour ahead. */
const finished = (n: number, bytes: number, mode = 'cold'): readonly Event[] => [
  fact(n, 'MigrationIntended', 0, { mode }),
  fact(n, 'TargetReady', 3_602, {}),
  fact(n, 'SourceQuiesced', 3, {}),
  fact(n, 'ImageSealed', 4, { final: true, artifacts: [{ sizeBytes: bytes }] }),
  fact(n, 'KeyReleased', 13, {}),
  fact(n, 'VmStarted', 3_616, {}),
];

describe('a rate', () => {
  it('is measured by each side on its own clock', () => {
    expect(moveOf(finished(1, 100 * MIB))).toEqual({ mode: 'cold', bytes: 100 * MIB, movingMs: 10_000, aroundMs: 4_000 });
  });

  it.each([
    'MigrationIntended',
    'TargetReady',
    'SourceQuiesced',
    'ImageSealed',
    'KeyReleased',
    'VmStarted',
  ])('is not measured without %s', (type) => expect(moveOf(finished(1, MIB).filter((one) => one.type !== type))).toBeUndefined());

  it('is not measured by a clock that ran backwards', () => {
    const set = finished(1, MIB).map((one) => (one.type === 'KeyReleased' ? fact(1, 'KeyReleased', 2, {}) : one));
    expect(moveOf(set)).toBeUndefined();
  });

  it('is assumed with a peer that nothing was moved with, and says so', () => {
    expect(rateOf([], 'cold')).toEqual({
      basis: 'assumed',
      bytesPerSecond: ASSUMED_BYTES_PER_SECOND,
      aroundSeconds: ASSUMED_AROUND_SECONDS,
      moves: 0,
      largestBytes: 0,
    });
  });

  it('weighs large moves more than small ones, and takes the rest from moves of the same mode', () => {
    const moves = [
      { mode: 'cold', bytes: 100 * MIB, movingMs: 9_000, aroundMs: 8_000 },
      { mode: 'suspend', bytes: MIB, movingMs: 1_000, aroundMs: 2_000 },
    ] as const;
    expect(rateOf(moves, 'suspend')).toMatchObject({ bytesPerSecond: Math.round(10.1 * MIB), aroundSeconds: 2, moves: 2 });
    expect(rateOf(moves.slice(0, 1), 'suspend')).toMatchObject({ aroundSeconds: 8, largestBytes: 100 * MIB });
  });

  it('gives the stop: bytes over it, and what lies around them', () => {
    const rate = rateOf([{ mode: 'cold', bytes: 10 * MIB, movingMs: 1_000, aroundMs: 4_000 }], 'cold');
    expect(stopSecondsOf({ mode: 'suspend', diskBytes: 60 * MIB, memoryBytes: 40 * MIB }, rate)).toBe(14);
  });
});

const HELD = { vm: VM, spec: SPEC, host: hostName.parse('host-1'), epoch: 3 };

/** @param done finished migrations, newest first, with their peer */
function portsWith(inspected: object | 'silent', done: readonly { readonly n: number; readonly peer: string }[] = []) {
  const asked: string[] = [];
  const ports = {
    hosts: {
      sign: (draft: { readonly step: string }) => draft,
      ask: async (draft: { readonly step: string }) => {
        asked.push(draft.step);
        return inspected === 'silent'
          ? { status: 'silent', text: 'not heard' }
          : { status: 'done', result: { step: 'inspect', volumes: [{ artifact: DISK, sizeBytes: 3 * MIB }], ...inspected } };
      },
    },
    views: {
      list: async () => done.map(({ n, peer }) => ({ migration: migration(n), outcome: 'done', source: CSP_A, target: peer })),
    },
    journal: {
      eventsOfMigrations: async (ids: readonly string[]) =>
        done
          .filter(({ n }) => ids.includes(migration(n)))
          .flatMap(({ n }) => finished(n, 100 * MIB).map((one) => ({ event: one }))),
    },
  } as unknown as PlanPorts;
  return { ports, asked };
}
const planned = (ports: PlanPorts, mode: 'cold' | 'suspend' = 'cold') =>
  planOf(ports, { data: intentData(mode), nextEpoch: 4, held: HELD }, []);

describe('a plan', () => {
  it.each([
    ['none', undefined],
    ['slot', 'before'],
    ['full', 'before'],
    ['full-online', 'after'],
  ] as const)('with %s says when volumes are encrypted again: %s the start', async (rekey, when) => {
    const data = { ...intentData('cold'), rekey };
    const { steps } = await planOf(portsWith('silent').ports, { data, nextEpoch: 4, held: HELD }, []);
    const [rekeyed, started] = [/^(swap the key slot|encrypt each volume)/, /^start the VM/].map((words) =>
      steps.findIndex(({ step }) => words.test(step)),
    ) as [number, number];
    const seen = rekeyed < started ? ('before' as const) : ('after' as const);
    expect(rekeyed === -1 ? undefined : seen).toBe(when);
  });

  it('carries what the host says, at the rate of finished moves with that peer', async () => {
    const { ports, asked } = portsWith({ state: 'running' }, [
      { n: 1, peer: CSP_B },
      { n: 2, peer: 'csp-c.example' },
    ]);
    const plan = await planned(ports, 'suspend');
    expect(asked, 'looked at, and nothing else').toEqual(['inspect']);
    expect(plan).toMatchObject({
      epoch: 4,
      bytes: 3 * MIB + SPEC.memoryMiB * MIB,
      basis: { state: 'running', diskBytesFrom: 'host', rate: { basis: 'measured', moves: 1, bytesPerSecond: 10 * MIB } },
      warnings: [],
      policy: { target: 'asked when the migration starts' },
    });
    expect(plan.stopSeconds).toBeCloseTo((3 + SPEC.memoryMiB) / 10 + 4, 1);
  });

  it('names the targets that policy would allow instead', async () => {
    const other = { code: 'ALTERNATIVE', text: 'policy would allow csp-c.example' };
    const { ports } = portsWith({ state: 'running' });
    const plan = await planOf(ports, { data: intentData('cold'), nextEpoch: 4, held: HELD }, [other]);
    expect(plan.policy.source.reasons).toEqual([...intentData('cold').policy.reasons, other]);
  });

  it('of a host that is silent: whole sizes, a stop all the same, and a warning', async () => {
    const plan = await planned(portsWith('silent').ports);
    const capacity = SPEC.disks.reduce((sum, disk) => sum + disk.capacityBytes, 0);
    expect(plan).toMatchObject({
      bytes: capacity,
      basis: { state: 'unknown', diskBytesFrom: 'capacity', rate: { basis: 'assumed' } },
      warnings: [{ code: 'HOST_UNAVAILABLE' }],
    });
    expect(plan.stopSeconds).toBeGreaterThanOrEqual(ASSUMED_AROUND_SECONDS);
  });

  it('of a VM that is off: nothing stops; in mode suspend it says that the host would refuse', async () => {
    expect(await planned(portsWith({ state: 'shutoff' }).ports)).toMatchObject({ stopSeconds: 0, warnings: [] });
    expect(await planned(portsWith({ state: 'shutoff' }).ports, 'suspend')).toMatchObject({
      stopSeconds: 0,
      warnings: [{ code: 'VM_NOT_RUNNING' }],
    });
  });
});
