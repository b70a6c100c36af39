import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { eventually, type Nats } from '@carnet/dev';
import { ledgerStream } from '@carnet/events';
import { connectNats } from '@carnet/journal';
import { jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { neverBoth, nothingLostOrDoubled, runsAt } from './harness/checks.ts';
import { busAddress, type Clouds, startClouds } from './harness/clouds.ts';
import { createVm, intend, settled } from './harness/moves.ts';

const SOON_MS = 30_000;
const END_MS_MAX = 60_000;
const MOVES_AT_ONCE = 4;

let clouds: Clouds;
beforeAll(async () => {
  clouds = await startClouds({ busNodes: 3 });
});
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

/** All three hold all of it: the next fault finds a cluster that may lose one. */
const whole = (): Promise<string> =>
  eventually(
    'a stream with a leader and two current replicas',
    async () => {
      const cluster = await streamOf().then(
        (info) => info.cluster,
        () => undefined,
      );
      const current = cluster?.replicas?.filter((one) => one.current && one.offline !== true).length;
      return current === 2 ? cluster?.leader : undefined;
    },
    SOON_MS,
  );

function nodeNamed(name: string): Nats {
  const node = clouds.nodes[Number(name.split('-')[1]) - 1];
  if (node === undefined) throw new Error(`no ${name}`);
  return node;
}

/** Moves several VMs from A to B, does something to the bus in their midst, and looks at all that must be true afterwards. */
async function movesDuring(name: string, fault: (leader: string) => Promise<void>): Promise<void> {
  const { a, b } = clouds;
  const vms = await Promise.all(Array.from({ length: MOVES_AT_ONCE }, () => createVm(a)));
  const leader = await whole();
  const move = async (vm: (typeof vms)[number]) => {
    const migration = await intend(a, b, vm, 'cold');
    const fromMs = performance.now();
    const { outcome } = await settled(clouds, migration, END_MS_MAX);
    return { outcome, tookMs: performance.now() - fromMs };
  };
  const quiet = await move(vms[0] ?? (await createVm(a)));
  const under = vms.slice(1).map(move);
  await fault(leader);
  const moves = [quiet, ...(await Promise.all(under))];
  expect(moves.map(({ outcome }) => outcome)).toEqual(vms.map(() => 'done'));
  for (const vm of vms) {
    expect(runsAt(clouds, vm)).toEqual([b.plan.domain]);
    neverBoth(clouds, vm);
  }
  await nothingLostOrDoubled(clouds);
  const slowest = Math.max(...moves.slice(1).map(({ tookMs }) => tookMs));
  process.stdout.write(
    `${name}: a move took ${Math.round(quiet.tookMs)} ms before, the slowest ${Math.round(slowest)} ms during\n`,
  );
}

it('a stream leader that is killed under load', async () => {
  let killed: Nats | undefined;
  await movesDuring('leader killed', async (leader) => {
    killed = nodeNamed(leader);
    await killed.kill('SIGKILL');
  });
  expect(await streamOf()).toMatchObject({ config: { num_replicas: 3, storage: 'file' } });
  await killed?.restart();
});

it('a server that says good-bye (lame duck), and is replaced', async () => {
  await movesDuring('lame duck', async (leader) => {
    const node = nodeNamed(leader);
    await node.kill('SIGUSR2');
    await eventually(
      'another leader',
      async () => {
        const next = await streamOf().then(
          (info) => info.cluster?.leader,
          () => undefined,
        );
        return next !== undefined && next !== leader ? next : undefined;
      },
      SOON_MS,
    );
    await node.restart();
  });
});

it('a server whose storage is wiped, and which comes back', async () => {
  await movesDuring('wiped', async (leader) => {
    const node = nodeNamed(leader);
    await node.kill('SIGKILL');
    rmSync(join(dirname(node.logFile), 'jetstream'), { recursive: true });
    await node.restart();
  });
  await whole();
});
