import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { eventually } from '@carnet/dev';
import { ledgerStream } from '@carnet/events';
import { connectNats, ensureStreams } from '@carnet/journal';
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { CSP_A, CSP_B, HOST } from '../../../infra/dev/src/clouds/layout.ts';
import { busAddress } from '../harness/clouds.ts';
import { rowsOf } from '../harness/ledger-db.ts';
import type { RealSide } from '../harness/real-side.ts';
import { copyWhole } from './backup.ts';
import { type Blow, type Hit, hit, missed } from './blow.ts';
import { fieldOf, linesFromNow } from './log.ts';
import type { World } from './world.ts';

/** A broker compares its stream with its outbox every 30 s at the latest. */
const FILLED_MS_MAX = 60_000;
const NOTICED = 'the bus has lost events of ours: filling it again';

const operatorOf = ({ federation }: World) => busAddress(federation.pki, federation.bus, 'bus', 'operator');
const storeOf = ({ federation }: World): string => join(dirname(federation.bus.logFile), 'jetstream');

/** Copies what JetStream holds, with its server stopped. */
export async function backUpStreams(world: World): Promise<void> {
  const { bus } = world.federation;
  await bus.stop();
  copyWhole(storeOf(world), `${storeOf(world)}.backup`);
  await bus.restart();
}

/** As the bus's operator: nobody else can, and a purge not even he. */
async function asOperator<T>(world: World, work: (manager: JetStreamManager) => Promise<T>): Promise<T> {
  const connection = await connectNats(operatorOf(world));
  try {
    return await work(await jetstreamManager(connection));
  } finally {
    await connection.close();
  }
}

/** Both ledgers' streams are destroyed, and made anew. */
export const wipeStreams = (world: World): Promise<Blow> =>
  losing(
    world,
    async (side) => (await marksOf(side)).acked,
    async () => {
      await asOperator(world, async ({ streams }) => {
        for (const { stream } of ledgersOf(world)) await streams.delete(stream);
      });
      await ensureStreams(operatorOf(world), { members: [CSP_A, CSP_B].map(({ domain }) => ({ domain, hosts: [HOST] })) });
    },
  );

/** The streams end where they ended before the migration: what came since is lost. */
export const truncateStreams = (world: World, migration: string): Promise<Blow> =>
  losing(
    world,
    (side) => toldOf(side, migration),
    async () => {
      const { bus } = world.federation;
      await bus.kill('SIGKILL');
      copyWhole(`${storeOf(world)}.backup`, storeOf(world));
      execFileSync('rm', ['-rf', `${storeOf(world)}.backup`]);
      await bus.restart();
    },
  );

type OnBus = { readonly side: RealSide; readonly stream: string };
const ledgersOf = ({ a, b }: World): readonly OnBus[] =>
  (
    [
      [a, b],
      [b, a],
    ] as const
  ).map(([side, peer]) => ({
    side,
    stream: ledgerStream(side.plan.domain, peer.plan.domain),
  }));

/** As many messages as events at least; what was told while others were missing stands before them. */
async function isWhole(world: World, { side, stream }: OnBus): Promise<boolean> {
  const { head } = await marksOf(side);
  return (await asOperator(world, ({ streams }) => streams.info(stream))).state.messages >= head;
}

type Marks = { readonly head: number; readonly acked: number };
async function marksOf({ database, plan }: Pick<RealSide, 'database' | 'plan'>): Promise<Marks> {
  const [row] = await rowsOf<Marks>(
    database,
    'select head_seq::int as head, acked_seq::int as acked from ledgers where publisher = $1',
    [plan.domain],
  );
  if (row === undefined) throw new Error(`${plan.domain} has no ledger`);
  return row;
}

async function toldOf({ database, plan }: RealSide, migration: string): Promise<number> {
  const { acked } = await marksOf({ database, plan });
  const rows = await rowsOf(database, 'select 1 from events where publisher = $1 and migration = $2 and seq <= $3', [
    plan.domain,
    migration,
    acked,
  ]);
  return rows.length;
}

/** `lost`: so many at least; `said`: which, each time that the publisher noticed. */
export type Fill = { readonly by: string; readonly lost: number; readonly said: readonly string[] };

/** Whoever told the bus what it lost has to notice, and to tell it again from its outbox. */
export function judgeFills(fills: readonly Fill[]): Hit {
  for (const { by, lost, said } of fills)
    if (lost > 0 && said.length === 0) throw new Error(`the bus lost ${lost} events of ${by}, which did not notice`);
  const again = fills.flatMap(({ by, said }) => said.map((which) => `${which} of ${by}`));
  return again.length === 0 ? missed('the streams had lost nothing') : hit(`told again: ${again.join(', ')}`);
}

const whichOf = (line: string): string => `${fieldOf(line, 'from')} to ${fieldOf(line, 'to')}`;

async function losing(world: World, lostOf: (side: RealSide) => Promise<number>, lose: () => Promise<void>): Promise<Blow> {
  const ledgers = ledgersOf(world);
  const watched = await Promise.all(
    ledgers.map(async (ledger) => ({
      ...ledger,
      lines: linesFromNow(ledger.side.csp.paths.brokerLog),
      lost: await lostOf(ledger.side),
    })),
  );
  await lose();
  const seen = async (): Promise<Hit> => {
    for (const ledger of ledgers)
      await eventually(
        `${ledger.stream} filled again`,
        async () => ((await isWhole(world, ledger)) ? true : undefined),
        FILLED_MS_MAX,
      );
    return judgeFills(
      watched.map(({ side, lines, lost }) => ({ by: side.plan.domain, lost, said: lines(NOTICED).map(whichOf) })),
    );
  };
  return { ...hit(), seen };
}
