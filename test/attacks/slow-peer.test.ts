import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { neverBoth, nobodyAccused, nothingLostOrDoubledBetween, runsAt } from '../faults/harness/checks.ts';
import type { Cloud } from '../faults/harness/cloud.ts';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { rowsOf } from '../faults/harness/ledger-db.ts';
import { createVm, intend, settled, type Vm } from '../faults/harness/moves.ts';
import { freeze, PLAN_C, slowDown, thaw } from '../faults/harness/third.ts';
import { between } from '../faults/harness/waits.ts';

/** Between A and B, all at once, there and back in each part; and how many A asks of C before each part in which C is slow. */
const [MOVES, SLOW_MOVES] = [4, 4];
/** C stands still for so long after each thing that it says. */
const PAUSE_MS = 4_000;
const MOVED_MS_MAX = 240_000;
const LOOK_MS = 100;
/** Correctness, not speed: a move that waits for C waits for minutes. */
const TIMES_MAX = 3;
const SLACK_MS = 10_000;
const BOUND = `${TIMES_MAX} times as long and ${SLACK_MS / 1_000} s`;

let clouds: Clouds;
let c: Cloud;
let vms: readonly Vm[];
let asked: { readonly vm: Vm; readonly migration: string }[] = [];
let quiet: Waits;

beforeAll(async () => {
  clouds = await startClouds({ third: PLAN_C });
  if (clouds.c === undefined) throw new Error('a third with a plan runs');
  c = clouds.c;
  vms = await createVms(MOVES);
}, 600_000);
afterAll(async () => {
  if (c !== undefined) await thaw(c);
  await clouds?.stop();
});

const createVms = (count: number): Promise<readonly Vm[]> => Promise.all(Array.from({ length: count }, () => createVm(clouds.a)));

type Waits = { readonly whole: readonly number[]; readonly release: readonly number[] };

/** There and back again: how long each move took, by the times in its events. */
async function move(): Promise<Waits> {
  const { a, b } = clouds;
  const migrations: string[] = [];
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const some = await Promise.all(vms.map((vm) => intend(from, to, vm, 'cold')));
    const ends = await Promise.all(some.map((migration) => settled(clouds, migration, MOVED_MS_MAX)));
    expect(ends.map(({ outcome }) => outcome)).toEqual(some.map(() => 'done'));
    for (const vm of vms) expect(runsAt(clouds, vm)).toEqual([to.plan.domain]);
    migrations.push(...some);
  }
  return {
    whole: await between(a, migrations, 'MigrationIntended', 'SourceRetired'),
    release: await between(a, migrations, 'KeyReleased', 'KeyImported'),
  };
}

async function askOfC(): Promise<void> {
  const more = await createVms(SLOW_MOVES);
  asked = [...asked, ...(await Promise.all(more.map(async (vm) => ({ vm, migration: await intend(clouds.a, c, vm, 'cold') }))))];
}

/** What C has said to A. */
async function saidByC(): Promise<number> {
  const [row] = await rowsOf<{ readonly n: number }>(
    clouds.a.database,
    'select count(*)::int as n from events where publisher = $1 and migration is not null',
    [c.plan.domain],
  );
  return row?.n ?? 0;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

function report(what: string, { whole, release }: Waits): void {
  const of = (ms: readonly number[]): string =>
    `${(median(ms) / 1_000).toFixed(1)} s, at most ${(Math.max(...ms) / 1_000).toFixed(1)} s`;
  process.stdout.write(`${what}: ${whole.length} moves between A and B took ${of(whole)}; release to import ${of(release)}\n`);
}

function isWithinBound({ whole, release }: Waits): void {
  expect(median(whole)).toBeLessThan(TIMES_MAX * median(quiet.whole) + SLACK_MS);
  expect(median(release)).toBeLessThan(TIMES_MAX * median(quiet.release) + SLACK_MS);
}

describe('a peer in good standing that is slow', () => {
  it(
    'moves of others, while C has nothing to do',
    async () => {
      quiet = await move();
      report('C idle', quiet);
    },
    2 * MOVED_MS_MAX,
  );

  it(
    `answers after seconds, and reads as slowly: moves between others take, in the median, less than ${BOUND}`,
    async () => {
      const slow = slowDown(c, PAUSE_MS, saidByC);
      try {
        await askOfC();
        while ((await saidByC()) < SLOW_MOVES) await sleep(LOOK_MS);
        const waits = await move();
        report('C slow', waits);
        isWithinBound(waits);
      } finally {
        await slow.end();
      }
    },
    3 * MOVED_MS_MAX,
  );

  it(
    `stops in the midst of its moves, broker and host: nothing of it goes on, and moves between others take, in the median, less than ${BOUND}`,
    async () => {
      const before = await saidByC();
      await askOfC();
      while ((await saidByC()) < before + SLOW_MOVES) await sleep(LOOK_MS);
      await freeze(c);
      const frozen = await saidByC();
      const waits = await move();
      report('C stopped', waits);
      isWithinBound(waits);
      // What was on its way to A, no more: those that ended waited for nothing of C.
      expect((await saidByC()) - frozen).toBeLessThan(SLOW_MOVES);
      await thaw(c);
    },
    3 * MOVED_MS_MAX,
  );

  it(
    'goes on in the end: its moves have one end at both sides, no VM ran at both, and nobody is accused',
    async () => {
      const { a, b } = clouds;
      for (const { vm, migration } of asked) {
        const { outcome } = await settled({ a, b: c }, migration, MOVED_MS_MAX);
        expect(['done', 'withdrawn', 'rolled-back']).toContain(outcome);
        expect(runsAt({ a, b: c }, vm)).toEqual([outcome === 'done' ? c.plan.domain : a.plan.domain]);
        neverBoth({ a, b: c }, vm);
      }
      for (const vm of vms) neverBoth(clouds, vm);
      await nothingLostOrDoubledBetween({ a, b });
      await nothingLostOrDoubledBetween({ a, b: c });
      await nobodyAccused({ a, b });
      await nobodyAccused({ a, b: c });
    },
    2 * MOVED_MS_MAX,
  );
});
