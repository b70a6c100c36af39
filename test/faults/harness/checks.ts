import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@carnet/dev';
import { expect } from 'vitest';
import type { Cloud } from './cloud.ts';
import type { Clouds } from './clouds.ts';
import { ledgerRows, rowsOf } from './ledger-db.ts';
import { type Mode, must, type Vm } from './moves.ts';

type Sides = Pick<Clouds, 'a' | 'b'>;

/** Both sides hold the same two ledgers, and each knows that the other does. */
export const ledgersAgree = (
  { a, b }: { readonly a: Pick<Cloud, 'database'>; readonly b: Pick<Cloud, 'database'> },
  msMax = 30_000,
): Promise<true> =>
  eventually(
    'equal ledgers at both sides',
    async () => {
      const digests = async (side: Pick<Cloud, 'database'>): Promise<string> =>
        JSON.stringify((await ledgerRows(side.database)).map(({ digest, void_code }) => [digest, void_code]));
      const [atA, atB] = await Promise.all([digests(a), digests(b)]);
      return atA === atB ? true : undefined;
    },
    msMax,
  );

/** The same between the two, whatever a third says to either. */
export async function nothingLostOrDoubledBetween(sides: Sides): Promise<void> {
  const domains: readonly string[] = [sides.a, sides.b].map(({ plan }) => plan.domain);
  const between = async ({ database }: Pick<Cloud, 'database'>): Promise<readonly string[]> =>
    (await ledgerRows(database)).flatMap(({ publisher, audience, digest }) =>
      domains.includes(publisher) && domains.includes(audience) ? [digest] : [],
    );
  const same = await eventually(
    'equal ledgers between the two',
    async () => {
      const [atA, atB] = await Promise.all([between(sides.a), between(sides.b)]);
      return JSON.stringify(atA) === JSON.stringify(atB) ? atA : undefined;
    },
    30_000,
  );
  expect(new Set(same).size).toBe(same.length);
}

/** Besides: no event stands twice, and neither side's own sequence has a gap. */
export async function nothingLostOrDoubled(sides: Sides): Promise<void> {
  await ledgersAgree(sides);
  const rows = await ledgerRows(sides.a.database);
  expect(new Set(rows.map(({ digest }) => digest)).size).toBe(rows.length);
  for (const { plan } of [sides.a, sides.b]) {
    const own = rows.filter(({ publisher }) => publisher === plan.domain).map(({ seq }) => seq);
    expect(own).toEqual(own.map((_, i) => i + 1));
  }
}

/** No proof against anybody, and no ledger that stands still. */
export async function nobodyAccused(sides: Sides): Promise<void> {
  for (const { database } of [sides.a, sides.b]) {
    expect(await rowsOf(database, 'select code from proofs')).toEqual([]);
    expect(
      await rowsOf(database, 'select publisher from ledgers where frozen is not null or quarantined_at is not null'),
    ).toEqual([]);
  }
}

/** The last that each process logged of a migration, for whoever reads a failure on another machine. */
const loggedOf = ({ a, b }: Sides, migration: string): string =>
  [a, b]
    .flatMap(({ paths }) => [paths.brokerLog, paths.agentLog])
    .flatMap((file) => {
      const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
      return [`${file}:`, ...lines.filter((line) => line.includes(migration)).slice(-LOG_LINES)];
    })
    .join('\n');
const LOG_LINES = 12;

/** For `catch`: with what the clouds logged of it. */
export const withLogsOf =
  (sides: Sides, migration: string) =>
  (cause: unknown): never => {
    throw new Error(`${cause instanceof Error ? cause.message : String(cause)}\n${loggedOf(sides, migration)}`);
  };

/** What this side says of the first of its peers. */
export const peerStateAt = async ({ api }: Pick<Cloud, 'api'>): Promise<string | undefined> =>
  must(await api.get<{ readonly items: readonly { readonly state: string }[] }>('/v1/peers')).items[0]?.state;

/** Each side has verified its peer, and no ledger between them is quarantined or frozen. */
export async function bothAreReady(sides: Sides, msMax: number): Promise<void> {
  for (const cloud of [sides.a, sides.b])
    await eventually(
      'a peer that is ready',
      async () => ((await peerStateAt(cloud).catch(() => undefined)) === 'ready' ? true : undefined),
      msMax,
    );
}

export type Moved = { readonly vm: Vm; readonly mode: Mode; readonly migration: string };
/** Of a migration that went through. */
export const EVENTS = 17;

/** Nothing was decided twice: each of these migrations, all done, has each of its events once. */
export async function eachEventOnce({ a }: Sides, moved: readonly Pick<Moved, 'migration'>[]): Promise<void> {
  const rows = await ledgerRows(a.database);
  for (const { migration } of moved) {
    const types = rows.flatMap((row) => (row.migration === migration ? [row.type] : []));
    expect(types).toHaveLength(EVENTS);
    expect(new Set(types).size).toBe(EVENTS);
  }
}

/** Nothing was done twice: of VMs that were born at A and moved to B the hosts stopped, started and removed each once, and A has no trace. */
export async function eachEffectOnce({ a, b }: Sides, moved: readonly Pick<Moved, 'vm' | 'mode'>[]): Promise<void> {
  for (const { vm, mode } of moved) {
    // A definition may be written again: it says the same.
    const did = ({ host }: Cloud): readonly string[] =>
      host.effects().flatMap(({ uuid, effect }) => (uuid === vm.uuid && effect !== 'define' ? [effect] : []));
    expect(did(a)).toEqual(['boot', 'run', mode === 'cold' ? 'off' : 'save', 'undefine']);
    expect(did(b)).toEqual([mode === 'cold' ? 'boot' : 'restore', 'run']);
    expect(runsAt({ a, b }, vm)).toEqual([b.plan.domain]);
    neverBoth({ a, b }, vm);
    expect(await tracesOf(a, vm)).toEqual([]);
  }
  expect([...strayOf(a), ...strayOf(b)]).toEqual([]);
}

/** Where this VM's vCPUs run now, by what the pretended hosts have on disk. */
export const runsAt = ({ a, b }: Sides, { uuid }: Vm): readonly string[] =>
  [a, b].filter(({ host }) => host.domain(uuid)?.state === 'running').map(({ plan }) => plan.domain);

/** Never both: between any two starts at different sides lies a stop of the first. */
export function neverBoth({ a, b }: Sides, { uuid }: Vm): void {
  const life = [a, b].flatMap(({ host, plan }) =>
    host
      .effects()
      .flatMap((one) =>
        one.uuid === uuid && ['run', 'off', 'save'].includes(one.effect) ? [{ ...one, side: plan.domain }] : [],
      ),
  );
  let running: string | undefined;
  for (const { effect, side, at } of life.toSorted((one, other) => one.at.localeCompare(other.at))) {
    if (effect === 'run') expect(running ?? side, `${uuid} let run at ${side} at ${at} while it runs at ${running}`).toBe(side);
    running = effect === 'run' ? side : running === side ? undefined : running;
  }
}

const listed = (dir: string): readonly string[] => (existsSync(dir) ? readdirSync(dir) : []);

/** What this side still has of a VM, but for fence register and step log, which are kept for ever. */
export async function tracesOf({ paths, host, database }: Cloud, { vm, uuid }: Vm): Promise<readonly string[]> {
  const files = [
    ...listed(join(paths.volumes, uuid)).map((name) => `volume ${name}`),
    ...listed(join(paths.volumes, 'staging'))
      .filter((name) => name.startsWith(uuid))
      .map((name) => `staging ${name}`),
    ...listed(join(paths.agentState, 'leases'))
      .filter((name) => name.startsWith(uuid))
      .map((name) => `lease ${name}`),
    ...listed(join(paths.agentState, 'vms'))
      .filter((name) => name.startsWith(uuid))
      .map((name) => `record ${name}`),
  ];
  const domain = host.domain(uuid) === undefined ? [] : ['domain'];
  const held = await rowsOf<{ readonly vm: string }>(database, 'select vm from broker_vms where vm = $1', [vm]);
  return [...files, ...domain, ...held.map(() => 'inventory row')];
}

/** Clear memory, and secrets of hosts that hold no VM of theirs. */
export function strayOf({ paths, host, facts }: Cloud): readonly string[] {
  const keys = new Set(host.uuids().flatMap((uuid) => host.domain(uuid)?.definition.disks.map(({ key }) => String(key)) ?? []));
  return [
    ...listed(facts.tmpfs).map((name) => `clear memory ${name}`),
    ...listed(host.secrets)
      .filter((key) => !keys.has(key))
      .map((key) => `secret ${key}`),
    ...listed(join(paths.volumes, 'staging')).map((name) => `staging ${name}`),
    ...listed(join(paths.agentState, 'leases')).map((name) => `lease ${name}`),
  ];
}
