import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { own } from '@carnet/dev';
import { rowsOf } from '../harness/ledger-db.ts';
import { domainsOf, type RealSide } from '../harness/real-side.ts';
import { type Blow, type Hit, hit, missed } from './blow.ts';
import { linesFromNow, timesOf } from './log.ts';
import type { Disk } from './matrix.ts';
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
const CLOCK_SEEN_MS = 60_000;
/** More than a process takes to notice that its clock was set (`clock.mjs`). */
const CLOCK_TAKEN_MS = 1_000;
const CORRUPT_MS = 4_000;

/** Of a cut wire that nothing wanted to pass nobody noticed anything. */
const lost = (packets: number, ms: number): Blow =>
  packets === 0 ? missed(`no packet in ${ms / 1_000} s`) : hit(`${packets} packets lost in ${ms / 1_000} s`);

export async function cutWires({ network }: World, { plan }: RealSide, directions: readonly Direction[]): Promise<Blow> {
  const sentBefore = network.sent(plan, directions);
  for (const direction of directions) network.cut(plan, direction);
  await sleep(CUT_MS);
  const packets = network.sent(plan, directions) - sentBefore;
  network.mend(plan);
  return lost(packets, CUT_MS);
}

export async function cutDataPath({ network }: World, { csp }: RealSide, directions: readonly Direction[]): Promise<Blow> {
  const droppedBefore = network.dropped();
  network.cutPort(csp.ports.dataPath, directions);
  await sleep(DATA_CUT_MS);
  network.mendPort();
  return lost(network.dropped() - droppedBefore, DATA_CUT_MS);
}

/** What ours, libvirtd, QEMU and PostgreSQL say of a disk without room. */
const NO_ROOM = ['NO_ROOM', 'DISK_FULL', 'No space left', 'ENOSPC', 'the disk is full'];

/** Who wanted to write is known by what was refused. A PostgreSQL that could not even say so to its log of transactions has ended: it is started again. */
export async function fillDisk(side: RealSide, disk: Disk): Promise<Blow> {
  const { csp, database } = side;
  const logs = [csp.paths.brokerLog, csp.paths.agentLog, csp.host.logFile, csp.database.logFile].map(linesFromNow);
  const filler = join(csp.paths[disk], 'filler');
  // To the last byte, whoever else writes there: it ends by having no room itself.
  spawnSync('cp', ['/dev/zero', filler]);
  await sleep(FULL_MS);
  const paused = domainsOf(side, '--state-paused').length > 0;
  rmSync(filler);
  const hasEnded =
    disk === 'database' &&
    (await rowsOf(database, 'select 1', []).then(
      () => false,
      () => true,
    ));
  if (hasEnded) await csp.database.restart();
  const seen = async (): Promise<Blow> => {
    if (paused) return hit('the guest was paused by QEMU');
    return NO_ROOM.some((text) => logs.some((lines) => lines(text).length > 0))
      ? hit('no room')
      : missed('nobody was refused room');
  };
  return { ...hit(`${FULL_MS / 1_000} s${hasEnded ? ', PostgreSQL was started again' : ''}`), seen };
}

/** Who goes by a wrong clock says so in each line of its log. */
export async function setClock({ csp }: RealSide, sign: 1 | -1): Promise<Blow> {
  const files = [csp.paths.brokerConfig, csp.paths.agentConfig].map((config) => `${config}.clock`);
  const logs = [csp.paths.brokerLog, csp.paths.agentLog].map(linesFromNow);
  const fromMs = Date.now();
  for (const file of files) {
    writeFileSync(file, String(sign * CLOCK_OFF_MS), { mode: 0o600 });
    own(file, csp.as);
  }
  await sleep(CLOCK_MS);
  const times = logs.flatMap((lines) => timesOf(lines('"time"')));
  for (const file of files) rmSync(file);
  return judgeClock(
    sign,
    times.map((ms) => ms - fromMs),
  );
}

/** `times`: of the lines that were logged meanwhile, in milliseconds since the clock was set, by ours. */
export function judgeClock(sign: 1 | -1, times: readonly number[]): Hit {
  const wrong = times.filter((ms) => sign * ms > CLOCK_SEEN_MS);
  if (wrong.length > 0)
    return hit(`${(sign * CLOCK_OFF_MS) / 1_000} s for ${CLOCK_MS / 1_000} s, in ${wrong.length} of ${times.length} lines`);
  const others = times.filter((ms) => Math.abs(ms) > CLOCK_TAKEN_MS);
  if (others.length > 0) throw new Error(`a clock was set, and ${others.length} lines were logged by another`);
  return missed('neither broker nor agent said anything while its clock was wrong');
}

/** One bit of the youngest event of this migration, while its broker is down; after that the broker has to read it. Then it is put back. */
export async function corruptRow({ csp, database }: RealSide, migration: string): Promise<Blow> {
  await csp.broker.kill('SIGKILL');
  const [row] = await rowsOf<{ readonly digest: string; readonly envelope: Buffer; readonly type: string }>(
    database,
    'select digest, envelope, type from events where migration = $1 order by placed_at desc, seq desc limit 1',
    [migration],
  );
  if (row === undefined) {
    await csp.broker.restart();
    return missed('no event of the migration at this side yet');
  }
  const spoilt = Buffer.from(row.envelope);
  const at = Math.floor(spoilt.length / 2);
  spoilt.writeUInt8(spoilt.readUInt8(at) ^ 1, at);
  const put = (envelope: Buffer) => rowsOf(database, 'update events set envelope = $2 where digest = $1', [row.digest, envelope]);
  await put(spoilt);
  const lines = linesFromNow(csp.paths.brokerLog);
  await csp.broker.restart();
  await sleep(CORRUPT_MS);
  await csp.broker.kill('SIGKILL');
  const noticed = lines('LEDGER_BROKEN').length;
  await put(row.envelope);
  await csp.broker.restart();
  if (noticed === 0) throw new Error(`the broker read a damaged ${row.type} and said nothing`);
  return hit(`${row.type}: LEDGER_BROKEN ${noticed} times`);
}
