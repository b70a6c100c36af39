import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Daemon, eventually, lastTick, type Tick, tickFoundOnDisk, vtpmResets } from '@carnet/dev';
import type { BrokerClient } from '@carnet/publisher';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Csp } from '../../infra/dev/src/clouds/csp.ts';
import { type Federation, startFederation } from '../../infra/dev/src/clouds/federation.ts';
import { ledgersAgree } from './harness/checks.ts';
import { clientOf } from './harness/cloud.ts';
import { type EventWatch, watchEvents } from './harness/event-watch.ts';
import { rowsOf } from './harness/ledger-db.ts';
import { intentOf, type Mode, must, settled } from './harness/moves.ts';

/** A cloud with everything real, its door, and an eye on its ledgers. */
type Side = {
  readonly csp: Csp;
  readonly plan: Csp['plan'];
  readonly database: Csp['database'];
  readonly api: BrokerClient;
  readonly watch: EventWatch;
};

const DISK_BYTES = 8_388_608;
const GUEST_MEMORY_MIB = 256;
const DEAD_MS = 500;
const EVENT_MS_MAX = 60_000;
const END_MS_MAX = 120_000;

let federation: Federation;
let a: Side;
let b: Side;
let vm: string;
let uuid: string;
/** Of the guest's vTPM at its last boot: a state that was lost, or came back from before, would count anew. */
let resets: number;

const sideOf = (csp: Csp): Side => ({
  csp,
  plan: csp.plan,
  database: csp.database,
  api: clientOf(csp.paths, csp.plan, csp.ports.http, 'operator'),
  watch: watchEvents(csp.database),
});

beforeAll(async () => {
  federation = await startFederation({ logLevel: 'debug' });
  a = sideOf(federation.a);
  b = sideOf(federation.b);
  const { kernelSha256: kernel, initrdSha256: initrd, commandLine: cmdline } = federation.guest;
  await eventually('hosts that are up', async () => {
    const hosts = await Promise.all(
      [a, b].map(({ api }) => api.get<{ readonly items: readonly { readonly state: string }[] }>('/v1/hosts')),
    );
    return hosts.every((answer) => answer.ok && answer.value.items.some(({ state }) => state === 'up')) ? true : undefined;
  });
  const body = {
    name: 'walker',
    capacityBytes: DISK_BYTES,
    vcpus: 1,
    memoryMiB: GUEST_MEMORY_MIB,
    boot: { kind: 'kernel', kernel, initrd, cmdline },
    start: true,
    vtpm: true,
  };
  vm = must(await a.api.post<{ readonly vm: string }>('/v1/vms', body)).vm;
  uuid = vm.split('/')[1] ?? '';
  await tickAfter(a, undefined);
  resets = vtpmResets(consoleOf(a)).at(-1) ?? 0;
  expect(resets).toBeGreaterThan(0);
});

afterAll(async () => {
  for (const side of [a, b]) {
    await side?.watch.close();
    side?.api.close();
  }
  await federation?.stop();
});

const consoleOf = ({ csp }: Side): string => join(csp.paths.volumes, uuid, 'serial.log');

/** The guest's next sign of life on this side, on its own console. */
const tickAfter = (side: Side, before: Tick | undefined): Promise<Tick> =>
  eventually(
    `a tick of the guest at ${side.plan.domain}`,
    () => {
      const tick = lastTick(consoleOf(side));
      return tick !== undefined && (before === undefined || tick.boot !== before.boot || tick.n > before.n) ? tick : undefined;
    },
    60_000,
  );

const names = ({ csp }: Side, ...filter: readonly string[]): readonly string[] =>
  csp.host
    .virsh('list', '--name', ...filter)
    .split('\n')
    .filter(Boolean);
const running = (): readonly string[] =>
  [a, b].flatMap((side) => (names(side, '--state-running').length > 0 ? [side.plan.domain] : []));

const listed = (dir: string): readonly string[] => (existsSync(dir) ? readdirSync(dir) : []);

/** Everything that a side could still have of the VM: by virsh, by its disks, by its inventory. */
async function leftAt({ csp, database }: Side): Promise<readonly string[]> {
  const { paths } = csp;
  const held = await rowsOf<{ readonly vm: string }>(database, 'select vm from broker_vms');
  return [
    ...names({ csp } as Side, '--all').map((name) => `domain ${name}`),
    ...csp.host
      .virsh('secret-list')
      .split('\n')
      .filter(Boolean)
      .map((line) => `secret ${line}`),
    ...listed(paths.volumes)
      .filter((name) => name !== 'staging')
      .map((name) => `volume ${name}`),
    ...listed(csp.host.swtpm).map((name) => `vTPM ${name}`),
    ...listed(join(paths.agentState, 'vms')).map((name) => `record ${name}`),
    ...held.map((row) => `inventory ${row.vm}`),
    ...(await strayAt(csp)),
  ];
}

const strayAt = async ({ paths }: Csp): Promise<readonly string[]> => [
  ...listed(join(paths.volumes, 'staging')).map((name) => `staging ${name}`),
  ...listed(join(paths.agentState, 'leases')).map((name) => `lease ${name}`),
  ...listed(join('/dev/shm', `${federation.root.split('/').at(-1)}-${paths.home.split('/').at(-1)}`)).map(
    (name) => `clear memory ${name}`,
  ),
];

type KillPoint = {
  readonly mode: Mode;
  readonly step: string;
  readonly by: 'source' | 'target';
  readonly victim: 'broker' | 'agent' | 'database' | 'host' | 'bus';
  readonly whose: 'source' | 'target';
};

/** Eight moves of one VM, there and back. Each kills another process at another step. */
const KILL_POINTS: readonly KillPoint[] = [
  { mode: 'cold', step: 'SourceQuiesced', by: 'source', victim: 'agent', whose: 'source' },
  { mode: 'suspend', step: 'KeyReleased', by: 'source', victim: 'broker', whose: 'source' },
  { mode: 'cold', step: 'StartAuthorized', by: 'target', victim: 'host', whose: 'target' },
  { mode: 'suspend', step: 'TargetReady', by: 'target', victim: 'host', whose: 'source' },
  { mode: 'cold', step: 'ImageVerified', by: 'target', victim: 'database', whose: 'target' },
  { mode: 'suspend', step: 'KeyDeposited', by: 'source', victim: 'bus', whose: 'source' },
  { mode: 'cold', step: 'KeyImported', by: 'target', victim: 'broker', whose: 'target' },
  { mode: 'suspend', step: 'ImageSealed', by: 'source', victim: 'agent', whose: 'target' },
];

const daemonOf = ({ victim }: KillPoint, { csp }: Side): Daemon => (victim === 'bus' ? federation.bus : csp[victim]);
const WORDS = { broker: 'the broker', agent: 'the agent', database: 'PostgreSQL', host: 'libvirtd', bus: 'nats-server' } as const;

describe('everything real: kill -9, and the VM goes on at exactly one side', () => {
  it.each(
    KILL_POINTS.map((point) => [`${point.mode}: ${WORDS[point.victim]} of the ${point.whose} at ${point.step}`, point] as const),
  )(
    '%s',
    async (_name, point) => {
      const [source, target] = running().join() === a.plan.domain ? [a, b] : [b, a];
      const before = await tickAfter(source, lastTick(consoleOf(source)));
      const { migration } = must(
        await source.api.post<{ readonly migration: string }>('/v1/intents', intentOf(vm, target.plan.domain, point.mode)),
      );
      await (point.by === 'source' ? source : target).watch.appears(migration, point.step, EVENT_MS_MAX);
      const daemon = daemonOf(point, point.whose === 'source' ? source : target);
      await daemon.kill('SIGKILL');
      await sleep(DEAD_MS);
      await daemon.restart();
      const { outcome } = await settled({ a, b }, migration, END_MS_MAX);
      expect(['done', 'rolled-back', 'withdrawn']).toContain(outcome);
      const [holder, other] = outcome === 'done' ? [target, source] : [source, target];
      await eventually('the VM at exactly one side', () => (running().join() === holder.plan.domain ? true : undefined), 30_000);
      const after = await tickAfter(holder, lastTick(consoleOf(holder)));
      if (point.mode === 'suspend') expect(after).toMatchObject({ boot: before.boot });
      if (point.mode === 'suspend') expect(after.n).toBeGreaterThan(before.n);
      if (point.mode === 'cold' && outcome === 'done') expect(tickFoundOnDisk(consoleOf(holder))?.boot).toBe(before.boot);
      if (after.boot !== before.boot) expect(vtpmResets(consoleOf(holder)).at(-1)).toBe(++resets);
      await ledgersAgree({ a, b });
      expect(await leftAt(other)).toEqual([]);
      expect(await strayAt(holder.csp)).toEqual([]);
      for (const { database } of [a, b])
        expect(
          await rowsOf(database, 'select publisher from ledgers where frozen is not null or quarantined_at is not null'),
        ).toEqual([]);
    },
    180_000,
  );
});
