import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { eventually } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bothAreReady, ledgersAgree, neverBoth, nobodyAccused, runsAt } from './harness/checks.ts';
import type { Cloud } from './harness/cloud.ts';
import { type Clouds, startClouds } from './harness/clouds.ts';
import { eventAppears } from './harness/ledger-db.ts';
import { createVm, intend, intentOf, must, newMigration, settled, type Vm } from './harness/moves.ts';
import { linesFromNow } from './nightly/log.ts';
import { PHASES, type Phase } from './nightly/matrix.ts';

const SOON_MS = 30_000;
const END_MS_MAX = 90_000;

let clouds: Clouds;
beforeAll(async () => {
  clouds = await startClouds();
});
afterAll(() => clouds?.stop());

/** `machine`: what a broker keeps outside of its database is of the same moment; only keys' spares stay. */
type Scope = 'database' | 'machine';
const headsOf = ({ paths }: Cloud) => join(paths.brokerState, 'heads');
const dataOf = ({ paths }: Cloud) => join(paths.database, 'data');
const backupOf = (cloud: Cloud) => `${dataOf(cloud)}.backup`;
/** With its owner: PostgreSQL has an account of its own. */
function copyWhole(from: string, to: string): void {
  execFileSync('rm', ['-rf', to]);
  execFileSync('cp', ['-a', from, to]);
}

/** Cold, as an administrator makes one: the server is stopped, and its files are copied. */
async function backUp(cloud: Cloud): Promise<void> {
  await cloud.broker.stop();
  await cloud.database.stop();
  copyWhole(dataOf(cloud), backupOf(cloud));
  copyWhole(headsOf(cloud), `${headsOf(cloud)}.backup`);
  await cloud.database.restart();
  await cloud.broker.restart();
}

/** The machine is lost in the middle of its work, and what is brought back is the backup. */
async function loseAndRestore(scope: Scope, ...sides: readonly Cloud[]): Promise<void> {
  await Promise.all(sides.map(({ broker }) => broker.kill('SIGKILL')));
  await Promise.all(sides.map((cloud) => bringBack(scope, cloud)));
  const logs = sides.map(({ paths }) => linesFromNow(paths.brokerLog));
  await Promise.all(sides.map(({ broker }) => broker.restart()));
  if (scope === 'machine') await Promise.all(logs.map(noticesItself));
}

async function bringBack(scope: Scope, cloud: Cloud): Promise<void> {
  await cloud.database.stop();
  copyWhole(backupOf(cloud), dataOf(cloud));
  if (scope === 'machine') copyWhole(`${headsOf(cloud)}.backup`, headsOf(cloud));
  await cloud.database.restart();
}

/** Before its peer says anything. */
const noticesItself = (lines: ReturnType<typeof linesFromNow>): Promise<true> =>
  eventually('what the bus holds of it', () => (lines('the bus holds events of ours').length > 0 ? true : undefined), SOON_MS);

/** Nobody is accused, and both say the same again. */
async function isHealed(): Promise<void> {
  await bothAreReady(clouds, SOON_MS);
  await ledgersAgree(clouds);
  await nobodyAccused(clouds);
}

async function isWholeAtOneSide(vm: Vm): Promise<void> {
  await eventually(
    'the VM at one side',
    async () => {
      neverBoth(clouds, vm);
      return runsAt(clouds, vm).length === 1 ? true : undefined;
    },
    SOON_MS,
  );
}

const NOTHING_HELD = { listed: false, keys: [] as readonly string[] };
/** What this CSP says that it holds of the VM, and the states of all keys that it ever had for it. */
async function heldAt(cloud: Cloud, { vm }: Vm): Promise<{ readonly listed: boolean; readonly keys: readonly string[] }> {
  type Rows<T> = { readonly items: readonly T[] };
  const { items: vms } = must(await cloud.api.get<Rows<{ readonly vm: string }>>('/v1/vms'));
  const { items: keys } = must(await cloud.api.get<Rows<{ readonly vm?: string; readonly state: string }>>('/v1/keys'));
  return { listed: vms.some((one) => one.vm === vm), keys: keys.filter((one) => one.vm === vm).map(({ state }) => state) };
}

/** Held where it runs; where it does not, neither listed nor with a key that is not destroyed. */
async function isHeldWhereItRuns(vm: Vm): Promise<void> {
  const [here] = runsAt(clouds, vm);
  for (const cloud of [clouds.a, clouds.b]) {
    const gone = cloud.plan.domain !== here;
    await eventually(
      `what ${cloud.plan.domain} holds`,
      async () => {
        const { listed, keys } = await heldAt(cloud, vm);
        return listed !== gone && (!gone || keys.every((state) => state === 'destroyed')) ? true : undefined;
      },
      SOON_MS,
    );
  }
}

describe.each<{
  readonly scope: Scope;
  readonly side: 'a' | 'b';
  readonly since?: string;
  readonly until: string;
  readonly ends: 'forward' | 'back';
}>([
  { scope: 'database', side: 'a', until: 'SourceQuiesced', ends: 'back' },
  { scope: 'database', side: 'a', until: 'KeyReleased', ends: 'back' },
  { scope: 'database', side: 'a', until: 'StartAuthorized', ends: 'forward' },
  { scope: 'database', side: 'a', since: 'KeyDeposited', until: 'SourceRetired', ends: 'forward' },
  { scope: 'database', side: 'b', until: 'TargetReady', ends: 'back' },
  { scope: 'database', side: 'b', until: 'KeyReleased', ends: 'back' },
  { scope: 'machine', side: 'a', until: 'StartAuthorized', ends: 'forward' },
  { scope: 'machine', side: 'b', until: 'TargetReady', ends: 'back' },
])('the $scope of $side is lost when it holds $until, and comes back as it was before the move, or at $since', (story) => {
  it('asks the peer, forks nothing, destroys again what is gone, and the VM is at exactly one side', async () => {
    const { scope, side, since, until, ends } = story;
    const restored = clouds[side];
    const vm = await createVm(clouds.a);
    if (since === undefined) await backUp(restored);
    const migration = await intend(clouds.a, clouds.b, vm, 'cold');
    if (since !== undefined) {
      await eventAppears(restored.database, migration, since, SOON_MS);
      await backUp(restored);
    }
    await eventAppears(restored.database, migration, until, SOON_MS);
    await loseAndRestore(scope, restored);
    const { outcome } = await settled(clouds, migration, END_MS_MAX);
    // What the machine did before it was lost may have reached the peer in time: then it goes on instead of back.
    if (ends === 'forward') expect(outcome).toBe('done');
    else expect(['withdrawn', 'rolled-back', 'done']).toContain(outcome);
    await isHealed();
    await isWholeAtOneSide(vm);
    await isHeldWhereItRuns(vm);
  });
});

describe.each([
  'none',
  'slot',
] as const)('the database of the target comes back as it was before a move that re-keys: %s', (rekey) => {
  it('VM and keys are brought back from their spares: it restarts there with the source switched off, which then retires', async () => {
    const vm = await createVm(clouds.a);
    await backUp(clouds.b);
    const migration = newMigration();
    must(await clouds.a.api.post('/v1/intents', intentOf(vm.vm, clouds.b.plan.domain, 'cold', migration, { rekey })));
    // The source has heard of it: so the target's word comes back, and what was committed with it does not.
    await eventAppears(clouds.a.database, migration, 'VmStarted', SOON_MS);
    await loseAndRestore('database', clouds.b);
    await eventually(
      'the VM and a key for it at the target',
      async () => {
        const { listed, keys } = await heldAt(clouds.b, vm).catch(() => NOTHING_HELD);
        return listed && keys.filter((state) => state === 'active').length === 1 ? true : undefined;
      },
      END_MS_MAX,
    );
    await clouds.a.broker.stop();
    for (const power of ['off', 'on'])
      await eventually(
        `power ${power}`,
        async () => ((await clouds.b.api.post(`/v1/vms/${vm.vm}/${power}`, {})).ok ? true : undefined),
        SOON_MS,
      );
    await isWholeAtOneSide(vm);
    expect(runsAt(clouds, vm)).toEqual([clouds.b.plan.domain]);
    await clouds.a.broker.restart();
    expect((await settled(clouds, migration, END_MS_MAX)).outcome).toBe('done');
    await isHealed();
    await isWholeAtOneSide(vm);
    expect(await heldAt(clouds.a, vm)).toEqual({ listed: false, keys: ['destroyed'] });
  });
});

it('a target that gave a VM back, and is restored behind that, destroys again what it had been given', async () => {
  const vm = await createVm(clouds.a);
  const migration = await intend(clouds.a, clouds.b, vm, 'cold');
  await eventAppears(clouds.b.database, migration, 'DepositAcknowledged', SOON_MS);
  await backUp(clouds.b);
  must(await clouds.a.api.post(`/v1/migrations/${migration}/cancel`, {}));
  expect((await settled(clouds, migration, END_MS_MAX)).outcome).not.toBe('done');
  await loseAndRestore('database', clouds.b);
  await isHealed();
  await eventually(
    'nothing of it at the target',
    async () => {
      const { listed, keys } = await heldAt(clouds.b, vm);
      return !listed && keys.length > 0 && keys.every((state) => state === 'destroyed') ? true : undefined;
    },
    SOON_MS,
  );
  await isWholeAtOneSide(vm);
  expect(runsAt(clouds, vm)).toEqual([clouds.a.plan.domain]);
});

/** The target's host has started the VM: what its broker has forgotten of that must come back. */
const RUNS_THERE: ReadonlySet<Phase> = new Set<Phase>(['VmStarted', 'MigrationFinalized']);
const SINCE_RELEASE = PHASES.slice(PHASES.findIndex(([phase]) => phase === 'KeyReleased'));

describe('both sides are restored at once, to before the move', () => {
  let vm: Vm;
  beforeAll(async () => {
    vm = await createVm(clouds.a);
  });
  const ends = (): readonly [Cloud, Cloud] => {
    const { a, b } = clouds;
    return runsAt(clouds, vm).join() === a.plan.domain ? [a, b] : [b, a];
  };

  // There and back, each from where the last one ended.
  it.each([
    ...PHASES.map(([phase, by]) => ['database', phase, by] as const),
    ...SINCE_RELEASE.map(([phase, by]) => ['machine', phase, by] as const),
  ])('each %s, at %s of the %s: they go on with what both still know, and the VM runs where the move ended', async (scope, phase, by) => {
    await isWholeAtOneSide(vm);
    const [source, target] = ends();
    await Promise.all([backUp(source), backUp(target)]);
    const migration = await intend(source, target, vm, 'cold');
    const [author, audience] = by === 'source' ? [source, target] : [target, source];
    // What a machine has told nobody is lost with it.
    await eventAppears((scope === 'machine' ? audience : author).database, migration, phase, SOON_MS);
    await loseAndRestore(scope, source, target);
    const { outcome } = await settled(clouds, migration, END_MS_MAX);
    expect(RUNS_THERE.has(phase) ? ['done'] : ['withdrawn', 'rolled-back', 'done']).toContain(outcome);
    await isHealed();
    await isWholeAtOneSide(vm);
    expect(runsAt(clouds, vm)).toEqual([(outcome === 'done' ? target : source).plan.domain]);
    await isHeldWhereItRuns(vm);
  });

  it('and whoever has it moves it on', async () => {
    const [source, target] = ends();
    const next = await intend(source, target, vm, 'cold');
    expect((await settled(clouds, next, END_MS_MAX)).outcome).toBe('done');
    await isWholeAtOneSide(vm);
    expect(runsAt(clouds, vm)).toEqual([target.plan.domain]);
  });
});
