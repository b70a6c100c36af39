import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { own } from '@carnet/dev';
import { ledgerStream } from '@carnet/events';
import { connectNats, ensureStreams } from '@carnet/journal';
import { jetstreamManager } from '@nats-io/jetstream';
import { CSP_A, CSP_B, HOST } from '../../../infra/dev/src/clouds/layout.ts';
import { busAddress } from '../harness/clouds.ts';
import { rowsOf } from '../harness/ledger-db.ts';
import type { RealSide } from '../harness/real-side.ts';
import type { Direction } from './network.ts';
import type { World } from './world.ts';

/** Longer than the parts wait for one another, in milliseconds; a cut outlives several sendings of TCP. */
const CUT_MS = 4_000;
/** More than a handshake of the data path may take (10 s). */
const DATA_CUT_MS = 12_000;
const FULL_MS = 3_000;
const CLOCK_MS = 3_000;
/** More than an offer lasts (60 s). */
const CLOCK_OFF_MS = 120_000;
const CORRUPT_MS = 4_000;

export async function cutWires(world: World, { plan }: RealSide, directions: readonly Direction[]): Promise<string> {
  for (const direction of directions) world.network.cut(plan, direction);
  await sleep(CUT_MS);
  world.network.mend(plan);
  return `${CUT_MS / 1_000} s`;
}

export async function cutDataPath(world: World, { csp }: RealSide, directions: readonly Direction[]): Promise<string> {
  world.network.cutPort(csp.ports.dataPath, directions);
  await sleep(DATA_CUT_MS);
  world.network.mendPort();
  return `${DATA_CUT_MS / 1_000} s`;
}

export async function fillDisk({ csp }: RealSide): Promise<string> {
  const filler = join(csp.paths.volumes, 'filler');
  const { bavail, bsize } = statfsSync(csp.paths.volumes);
  execFileSync('fallocate', ['-l', String(bavail * bsize), filler]);
  await sleep(FULL_MS);
  rmSync(filler);
  return `${FULL_MS / 1_000} s`;
}

export async function setClock({ csp }: RealSide, sign: 1 | -1): Promise<string> {
  const files = [csp.paths.brokerConfig, csp.paths.agentConfig].map((config) => `${config}.clock`);
  for (const file of files) {
    writeFileSync(file, String(sign * CLOCK_OFF_MS), { mode: 0o600 });
    own(file, csp.as);
  }
  await sleep(CLOCK_MS);
  for (const file of files) rmSync(file);
  return `${CLOCK_OFF_MS / 1_000} s for ${CLOCK_MS / 1_000} s`;
}

/** One byte of the youngest event of this migration, while its broker is down; after that the broker has to read it. Then it is put back. */
export async function corruptRow({ csp, database }: RealSide, migration: string): Promise<string> {
  await csp.broker.kill('SIGKILL');
  const [row] = await rowsOf<{ readonly digest: string; readonly envelope: Buffer; readonly type: string }>(
    database,
    'select digest, envelope, type from events where migration = $1 order by placed_at desc, seq desc limit 1',
    [migration],
  );
  if (row === undefined) throw new Error(`${migration} has no event at this side`);
  const spoilt = Buffer.from(row.envelope);
  const at = Math.floor(spoilt.length / 2);
  spoilt.writeUInt8(spoilt.readUInt8(at) ^ 1, at);
  const put = (envelope: Buffer) => rowsOf(database, 'update events set envelope = $2 where digest = $1', [row.digest, envelope]);
  await put(spoilt);
  const before = readFileSync(csp.paths.brokerLog, 'utf8').length;
  await csp.broker.restart();
  await sleep(CORRUPT_MS);
  await csp.broker.kill('SIGKILL');
  const noticed = readFileSync(csp.paths.brokerLog, 'utf8').slice(before).includes('LEDGER_BROKEN');
  await put(row.envelope);
  await csp.broker.restart();
  if (!noticed) throw new Error(`the broker read a damaged ${row.type} and said nothing`);
  return row.type;
}

const dataOf = ({ csp }: RealSide): string => join(csp.paths.database, 'data');
function copyWhole(from: string, to: string): void {
  execFileSync('rm', ['-rf', to]);
  // With its owner: PostgreSQL has an account of its own.
  execFileSync('cp', ['-a', from, to]);
}

/** Cold, as an administrator makes one: the server is stopped, and its files are copied. */
export async function backUp(side: RealSide): Promise<void> {
  const { broker, database } = side.csp;
  await broker.stop();
  await database.stop();
  copyWhole(dataOf(side), `${dataOf(side)}.backup`);
  await database.restart();
  await broker.restart();
}

/** The machine is lost, and what is brought back is the backup. What a broker keeps outside of its database stays. */
export async function restoreBackup(side: RealSide): Promise<string> {
  const { broker, database } = side.csp;
  await broker.kill('SIGKILL');
  await database.stop();
  copyWhole(`${dataOf(side)}.backup`, dataOf(side));
  execFileSync('rm', ['-rf', `${dataOf(side)}.backup`]);
  await database.restart();
  await broker.restart();
  return '';
}

/** Both ledgers' streams are destroyed and made anew by the bus's operator: nobody else can, and a purge not even he. */
export async function wipeStreams({ federation }: World): Promise<string> {
  const operator = busAddress(federation.pki, federation.bus, 'bus', 'operator');
  const connection = await connectNats(operator);
  try {
    const { streams } = await jetstreamManager(connection);
    const [a, b] = [CSP_A.domain, CSP_B.domain];
    for (const stream of [ledgerStream(a, b), ledgerStream(b, a)]) await streams.delete(stream);
  } finally {
    await connection.close();
  }
  await ensureStreams(operator, { members: [CSP_A, CSP_B].map(({ domain }) => ({ domain, hosts: [HOST] })) });
  return '';
}

const storeOf = ({ federation }: World): string => join(dirname(federation.bus.logFile), 'jetstream');

/** Copies what JetStream holds, with its server stopped. */
export async function backUpStreams(world: World): Promise<void> {
  const { bus } = world.federation;
  await bus.stop();
  copyWhole(storeOf(world), `${storeOf(world)}.backup`);
  await bus.restart();
}

/** The streams end where they ended before the migration: what came since is lost. */
export async function truncateStreams(world: World): Promise<string> {
  const { bus } = world.federation;
  await bus.kill('SIGKILL');
  copyWhole(`${storeOf(world)}.backup`, storeOf(world));
  execFileSync('rm', ['-rf', `${storeOf(world)}.backup`]);
  await bus.restart();
  return '';
}
