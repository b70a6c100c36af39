import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, type Nats } from '@carnet/dev';
import { ledgerStream } from '@carnet/events';
import { connectNats } from '@carnet/journal';
import { jetstreamManager, type StreamInfo } from '@nats-io/jetstream';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { EVENTS, neverBoth, nothingLostOrDoubled, runsAt } from './harness/checks.ts';
import type { Cloud } from './harness/cloud.ts';
import { busAddress, type Clouds, startClouds } from './harness/clouds.ts';
import { crossingsSince, worst } from './harness/crossings.ts';
import { saidOf } from './harness/ledger-db.ts';
import { createVm, intend, settled, type Vm } from './harness/moves.ts';

const SOON_MS = 60_000;
/** Not a measure of speed: the moves of both clouds share two processors, also with whatever else the machine does. */
const END_MS_MAX = 480_000;
const MOVES = 10;
/** VMs made at once: each takes a key, a volume and a start. */
const AT_ONCE = 10;
/** The fault comes when so much of what the moves will say is said: they stand at every step. */
const SAID_BEFORE = 0.2;
/**
 * Until an event is with its audience, whatever happens to one server. A bound of correctness, for the machine may be slow: a follower that
 * waits for the death of a pull of 30 s, the client's default, is beyond it.
 */
const DELAY_MS_MAX = 30_000;
const LOOK_MS = 200;

let clouds: Clouds;
let vms: readonly Vm[];
beforeAll(async () => {
  clouds = await startClouds({ busNodes: 3 });
  const made: Vm[] = [];
  while (made.length < MOVES) made.push(...(await Promise.all(Array.from({ length: AT_ONCE }, () => createVm(clouds.a)))));
  vms = made;
}, 600_000);
afterAll(() => clouds?.stop());

const stream = (): string => ledgerStream(clouds.a.plan.domain, clouds.b.plan.domain);

/** How the cluster says the stream stands, asked as its operator. */
async function streamOf() {
  const operator = busAddress(clouds.pki, clouds.bus, 'bus', 'operator');
  const connection = await connectNats({ ...operator, servers: clouds.nodes.map(({ url }) => url) });
  try {
    return await (await jetstreamManager(connection)).streams.info(stream());
  } finally {
    await connection.close();
  }
}

/** Asked until it says so: a cluster that chooses a leader, of the stream or of itself, answers nobody. */
const streamSays = <T>(what: string, read: (info: StreamInfo) => T | undefined): Promise<T> =>
  eventually(what, () => streamOf().then(read, () => undefined), SOON_MS);

/** All three hold all of it: the next fault finds a cluster that may lose one. */
const whole = (): Promise<string> =>
  streamSays('a stream with a leader and two current replicas', ({ cluster }) => {
    const current = cluster?.replicas?.filter((one) => one.current && one.offline !== true).length;
    return current === 2 ? cluster?.leader : undefined;
  });

function nodeNamed(name: string): Nats {
  const node = clouds.nodes[Number(name.split('-')[1]) - 1];
  if (node === undefined) throw new Error(`no ${name}`);
  return node;
}

const inSeconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

/** From where they all are: a test that is tried again, or alone, finds them where another left them. */
const there = (): Promise<readonly [Cloud, Cloud]> =>
  eventually(
    'all VMs at one side',
    () => {
      const { a, b } = clouds;
      const at = new Set(vms.map((vm) => runsAt(clouds, vm).join()));
      if (at.size > 1) return undefined;
      return at.has(a.plan.domain) ? [a, b] : at.has(b.plan.domain) ? [b, a] : undefined;
    },
    SOON_MS,
  );

/** Moves all VMs to the other side at once, does something to the bus in their midst, and looks at all that must be true afterwards. */
async function movesDuring(name: string, fault: (leader: string) => Promise<void>): Promise<void> {
  const [from, to] = await there();
  const leader = await whole();
  const startedMs = Date.now();
  const migrations = await Promise.all(vms.map((vm) => intend(from, to, vm, 'cold')));
  while ((await saidOf(clouds.a.database, migrations)) < SAID_BEFORE * EVENTS * MOVES) await sleep(LOOK_MS);
  const faultMs = Date.now();
  await fault(leader);
  const faultEndMs = Date.now();
  const saidInFault = await saidOf(clouds.a.database, migrations);
  const ends = await Promise.all(migrations.map((migration) => settled(clouds, migration, END_MS_MAX)));
  const endedMs = Date.now();
  expect(ends.map(({ outcome }) => outcome)).toEqual(vms.map(() => 'done'));
  for (const vm of vms) {
    expect(runsAt(clouds, vm)).toEqual([to.plan.domain]);
    neverBoth(clouds, vm);
  }
  await nothingLostOrDoubled(clouds);
  const crossings = await crossingsSince([clouds.a, clouds.b], startedMs);
  const [before, after] = [worst(crossings, startedMs, faultMs), worst(crossings, faultMs, endedMs)];
  process.stdout.write(
    `${name}: ${MOVES} moves in ${inSeconds(endedMs - startedMs)}, the fault ${inSeconds(faultMs - startedMs)} after their start for ${inSeconds(faultEndMs - faultMs)}, when ${Math.round((100 * saidInFault) / (EVENTS * MOVES))} % was said; ` +
      `an event took ${inSeconds(before.delayMs)} at most before (${before.events} events), ${inSeconds(after.delayMs)} from then on (${after.events}); nothing came across for ${inSeconds(after.pauseMs)} at most\n`,
  );
  expect(after.delayMs).toBeLessThan(DELAY_MS_MAX);
  expect(after.events).toBeGreaterThan(before.events);
}

it(
  'a stream leader that is killed under load',
  async () => {
    let killed: Nats | undefined;
    try {
      await movesDuring('leader killed', async (leader) => {
        killed = nodeNamed(leader);
        await killed.kill('SIGKILL');
      });
      const config = await streamSays('what the stream is', (info) => info.config);
      expect(config).toMatchObject({ num_replicas: 3, storage: 'file' });
    } finally {
      await killed?.restart();
    }
  },
  2 * END_MS_MAX,
);

/** The server says good-bye (lame duck), hands its leadership on, and comes back as another program would. */
async function replace(name: string): Promise<void> {
  const node = nodeNamed(name);
  await node.kill('SIGUSR2');
  await streamSays('another leader', ({ cluster }) => (cluster?.leader === name ? undefined : cluster?.leader));
  await node.restart();
}

it(
  'all servers say good-bye (lame duck) and are replaced under load, the leader first',
  async () => {
    await movesDuring('lame duck', async (leader) => {
      const names = clouds.nodes.map((_, i) => `${leader.split('-')[0]}-${i + 1}`);
      for (const name of [leader, ...names.filter((one) => one !== leader)]) {
        await whole();
        await replace(name);
      }
    });
  },
  2 * END_MS_MAX,
);

it(
  'a server whose storage is wiped under load, and which comes back',
  async () => {
    await movesDuring('wiped', async (leader) => {
      const node = nodeNamed(leader);
      await node.kill('SIGKILL');
      rmSync(join(dirname(node.logFile), 'jetstream'), { recursive: true });
      await node.restart();
    });
    await whole();
  },
  2 * END_MS_MAX,
);
