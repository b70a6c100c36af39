import { type Check, createMetrics, type Log, type Loop, startLoop } from '@carnet/runtime';
import { sql } from 'kysely';
import type { BrokerConfig } from './config.ts';
import { fetchOwnCrl } from './fetch-crl.ts';
import { type Ground, openGround } from './ground.ts';
import { type Doors, openDoors } from './http/open-doors.ts';
import { openOps } from './http/ops.ts';
import { keepSettling } from './keys/settling.ts';
import { keepSpares } from './keys/spares.ts';
import { loopPorts, noticeJourneys } from './loop-ports.ts';
import { watchPeers } from './peers/watch.ts';
import { tendEventKeys } from './tend-keys.ts';
import { tendBrokerLeaf } from './tend-leaf.ts';
import { createWaiting } from './waiting.ts';
import { type Wired, wire } from './wire.ts';

export interface RunningBroker {
  /** Takes no new work, finishes what is under way, says good-bye to the bus, closes the database. */
  readonly stop: () => Promise<void>;
}

/** Starts one replica. Whatever was owed before a crash is owed now: there is no other recovery. */
export async function startBroker(config: BrokerConfig, environment: NodeJS.ProcessEnv, log: Log): Promise<RunningBroker> {
  const metrics = createMetrics();
  const waiting = createWaiting(log);
  let { checks } = waiting;
  // Before anything else: whoever looks after this process sees that it lives, and what it waits for.
  const ops = await openOps(config.ops, metrics, () => checks());
  const ground = await openGround(config, environment, log, metrics, waiting);
  const parts = wire(ground);
  // Before anything is said or heard: peers by invitation are peers from the start.
  await waiting.for('database', parts.peerings.settle);
  const loop = startLoop(loopPorts({ ...ground, ...parts, self: config.domain, monotonicMs: () => performance.now() }));
  ground.backlog.unanswered = loop.unanswered;
  const watch = watchPeers({ ...ground, changed: parts.tellHosts });
  const tending = tendEventKeys(ground.identity, ground.journal, log);
  const hush = noticeJourneys({ ...ground, self: config.domain }, loop);
  const settled = config.keys.backend !== 'file' ? keepSettling(ground.keys, log) : undefined;
  const spares = keepSpares(ground.keys, log);
  const doors = await openDoors(ground, parts);
  const ownCrl = fetchOwnCrl(ground);
  const renewal = tendBrokerLeaf(ground, doors, parts.tellHosts);
  const ready = readinessChecks(ground);
  checks = () => ready;
  log.info({ domain: config.domain, http: config.http.port, database: ground.store.kind }, 'broker ready');
  return {
    stop: async () => {
      await settled?.();
      await spares();
      await Promise.all([
        watch.stop(),
        tending.stop(),
        parts.peerings.stop(),
        parts.escrowNews.stop(),
        renewal.stop(),
        ownCrl.stop(),
      ]);
      await stopAll(ground, loop, hush, doors, parts);
      await ops.close();
    },
  };
}

/** A database or a bus that does not answer: this replica should get no work, but goes on living. */
const readinessChecks = ({ store, bus }: Ground): readonly Check[] => [
  { name: 'database', probe: async () => void (await sql`select 1`.execute(store.db)) },
  {
    name: 'bus',
    probe: () => {
      if (!bus.isConnected()) throw new Error('not connected');
    },
  },
];

async function stopAll(
  { bus, journal, keys, store }: Ground,
  loop: Loop,
  hush: () => void,
  doors: Doors,
  { hosts, news }: Pick<Wired, 'hosts' | 'news'>,
): Promise<void> {
  await doors.close();
  hush();
  await loop.stop();
  await news.stop();
  hosts.client.close();
  await bus.close();
  await journal.close();
  keys.close();
  await store.close();
}
