import { setTimeout as sleep } from 'node:timers/promises';
import type { Daemon } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EVENTS, eachEffectOnce, eachEventOnce, ledgersAgree, type Moved, nobodyAccused } from '../faults/harness/checks.ts';
import type { Replica } from '../faults/harness/cloud.ts';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { saidOf } from '../faults/harness/ledger-db.ts';
import { createVm, intend, settled, type Vm } from '../faults/harness/moves.ts';
import { commandsOf, type Killed, killReplica } from '../faults/harness/takeover.ts';

/** Before each kill so many more are asked for, at both of A's doors. */
const MOVES_EACH = 4;
const EVENTS_EACH = MOVES_EACH * EVENTS;
/** Who dies, and when: how much of what its last moves will say has been said. */
const KILLS = [
  { side: 'a', seat: 0, said: 0.1 },
  { side: 'b', seat: 0, said: 0.3 },
  { side: 'a', seat: 1, said: 0.5 },
  { side: 'b', seat: 1, said: 0.7 },
] as const;
/** Not a measure of speed: two clouds with two replicas each, on two processors that others use as well. */
const GOES_ON_MS_MAX = 30_000;
/** The next word of each journey that the dead one held may have to wait for the peer's, and for its turn. */
const HELD_GOES_ON_MS_MAX = 120_000;
const MS_MAX = 240_000;
const LOOK_MS = 100;
/** Of what its side did: below, a replica only stands by. */
const SHARE_MIN = 0.1;

let clouds: Clouds;
let seconds: { readonly a: Replica; readonly b: Replica };
let vms: readonly Vm[];
const moved: Moved[] = [];
const killed: Killed[] = [];

beforeAll(async () => {
  clouds = await startClouds();
  const [a, b] = await Promise.all([clouds.a.startReplica(), clouds.b.startReplica()]);
  seconds = { a, b };
  const made: Vm[] = [];
  while (made.length < MOVES_EACH * KILLS.length)
    made.push(...(await Promise.all(Array.from({ length: MOVES_EACH }, () => createVm(clouds.a)))));
  vms = made;
}, 600_000);
afterAll(() => clouds?.stop());

const replicasOf = (side: 'a' | 'b'): readonly [Daemon, Daemon] => [clouds[side].broker, seconds[side].broker];

async function ask(some: readonly Vm[]): Promise<readonly Moved[]> {
  const { a, b } = clouds;
  return Promise.all(
    some.map(async (vm, i) => {
      const mode = i % 2 === 0 ? 'cold' : 'suspend';
      return { vm, mode, migration: await intend(a, b, vm, mode, i < some.length / 2 ? a.api : seconds.a.api) };
    }),
  );
}

async function haveSaid(moves: readonly Moved[], events: number): Promise<void> {
  const migrations = moves.map(({ migration }) => migration);
  const untilMs = performance.now() + MS_MAX;
  for (;;) {
    if ((await saidOf(clouds.a.database, migrations)) >= events) return;
    expect(performance.now()).toBeLessThan(untilMs);
    await sleep(LOOK_MS);
  }
}

const inSeconds = (ms: readonly number[]): string => ms.map((one) => (one / 1_000).toFixed(1)).join(', ');

describe('two replicas of each broker on one database, each of the four killed midway', () => {
  it(
    'whoever dies, its side goes on within seconds, and with what the dead one held; all moves go through',
    async () => {
      for (const [i, { side, seat, said }] of KILLS.entries()) {
        const now = await ask(vms.slice(i * MOVES_EACH, (i + 1) * MOVES_EACH));
        moved.push(...now);
        await haveSaid(now, said * EVENTS_EACH);
        const replica = replicasOf(side)[seat];
        const one = await killReplica(clouds[side], replica, moved, HELD_GOES_ON_MS_MAX);
        killed.push(one);
        process.stdout.write(
          `${side} ${seat + 1} killed with ${one.open} moves under way: its side goes on after ${inSeconds([one.sideMs])} s, what it held after ${inSeconds(one.heldMs)} s\n`,
        );
        await replica.restart();
      }
      for (const { migration } of moved) expect(await settled(clouds, migration, MS_MAX)).toMatchObject({ outcome: 'done' });
      for (const { open, sideMs } of killed) {
        expect(open).toBeGreaterThan(0);
        expect(sideMs).toBeLessThan(GOES_ON_MS_MAX);
      }
    },
    3 * MS_MAX,
  );

  it('the work was shared: both replicas of a side did their part', () => {
    for (const side of ['a', 'b'] as const) {
      const did = replicasOf(side).map(commandsOf);
      const all = did.reduce((sum, one) => sum + one, 0);
      process.stdout.write(`commands of ${side}: ${did.join(' and ')}\n`);
      for (const one of did) expect(one).toBeGreaterThan(all * SHARE_MIN);
    }
  });

  it('no ledger forked: both sides hold the same, without proof against anybody', async () => {
    await ledgersAgree(clouds);
    await nobodyAccused(clouds);
  });

  it('nothing was decided twice: each migration has each of its events once', () => eachEventOnce(clouds, moved));

  it('nothing was done twice: the hosts stopped, started and removed each VM once', () => eachEffectOnce(clouds, moved));
});
