import { setTimeout as sleep } from 'node:timers/promises';
import { type Daemon, eventually } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Federation, startFederation } from '../../infra/dev/src/clouds/federation.ts';
import { intentOf, type Mode, must, settled } from './harness/moves.ts';
import { consoleOf, type RealSide, realSide, runningAt, tickAfter } from './harness/real-side.ts';
import { audit, checkLedgers, checkTraces, foundOn, keptOpen, type Life, lifeAt, wentBack } from './nightly/checks.ts';

const DISK_BYTES = 8_388_608;
const GUEST_MEMORY_MIB = 256;
const DEAD_MS = 500;
const EVENT_MS_MAX = 60_000;
const END_MS_MAX = 120_000;
const SOON_MS = 30_000;
/** More than its parts may take one after the other on a machine that is busy. */
const MOVE_MS_MAX = 420_000;

let federation: Federation;
let a: RealSide;
let b: RealSide;
let vm: string;
let uuid: string;
/** Of the guest's vTPM, as last seen: a state that was lost, or came back from before, would count anew. */
let resets: number;

beforeAll(async () => {
  federation = await startFederation({ logLevel: 'debug' });
  a = realSide(federation.a);
  b = realSide(federation.b);
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
  await tickAfter(a, uuid, undefined);
  ({ resets } = await lifeAt(a, uuid, 0));
  expect(resets).toBeGreaterThan(0);
}, MOVE_MS_MAX);

afterAll(async () => {
  for (const side of [a, b]) {
    await side?.watch.close();
    side?.api.close();
  }
  await federation?.stop();
});

const running = (): readonly string[] => runningAt([a, b]);

/** Once a move has ended. Who waits for one side may not see that for a while it were both. */
const runsOnlyAt = ({ plan }: RealSide): Promise<true> =>
  eventually(
    'the VM at exactly one side',
    () => {
      const sides = running();
      if (sides.length > 1) throw new Error(`the VM runs at ${sides.join(' and at ')}`);
      return sides.join() === plan.domain ? true : undefined;
    },
    SOON_MS,
  );

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

const daemonOf = ({ victim }: KillPoint, { csp }: RealSide): Daemon => (victim === 'bus' ? federation.bus : csp[victim]);
const WORDS = { broker: 'the broker', agent: 'the agent', database: 'PostgreSQL', host: 'libvirtd', bus: 'nats-server' } as const;

describe('everything real: kill -9, and the VM goes on at exactly one side', () => {
  it.each(
    KILL_POINTS.map((point) => [`${point.mode}: ${WORDS[point.victim]} of the ${point.whose} at ${point.step}`, point] as const),
  )(
    '%s',
    async (_name, point) => {
      // What is tried again begins where the first try left off, and its move may still be under way.
      await eventually('the VM at one side', () => (running().length === 1 ? true : undefined), END_MS_MAX);
      const [source, target] = running().join() === a.plan.domain ? ([a, b] as const) : ([b, a] as const);
      const before = await lifeAt(source, uuid, resets);
      const left = keptOpen(consoleOf(source, uuid));
      try {
        await moveUnderKill(point, { source, target, before, left: left.path });
      } finally {
        left.close();
      }
    },
    MOVE_MS_MAX,
  );
});

type Begun = { readonly source: RealSide; readonly target: RealSide; readonly before: Life; readonly left: string };

async function moveUnderKill(point: KillPoint, { source, target, before, left }: Begun): Promise<void> {
  const { mode, step } = point;
  const intent = intentOf(vm, target.plan.domain, mode);
  const { migration } = must(await source.api.post<{ readonly migration: string }>('/v1/intents', intent));
  await (point.by === 'source' ? source : target).watch.appears(migration, step, EVENT_MS_MAX);
  const daemon = daemonOf(point, point.whose === 'source' ? source : target);
  await daemon.kill('SIGKILL');
  await sleep(DEAD_MS);
  await daemon.restart();
  const { outcome } = await settled({ a, b }, migration, END_MS_MAX);
  expect(['done', 'rolled-back', 'withdrawn']).toContain(outcome);
  const [holder, other] = outcome === 'done' ? [target, source] : [source, target];
  await runsOnlyAt(holder);
  const after = await lifeAt(holder, uuid, before.resets, left);
  expect(wentBack(before, after, foundOn(left, consoleOf(holder, uuid)))).toBeUndefined();
  if (mode === 'suspend') expect(after.tick.boot).toBe(before.tick.boot);
  expect(after.resets - before.resets).toBe(after.tick.boot === before.tick.boot ? 0 : 1);
  ({ resets } = after);
  // As after every run of `npm run faults`: nothing left, keys where they belong, nobody accused, and an auditor who agrees.
  await checkTraces({ vm }, holder, other);
  await checkLedgers({ a, b });
  await audit({ federation });
}
