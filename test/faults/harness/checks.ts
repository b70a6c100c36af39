import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@carnet/dev';
import { expect } from 'vitest';
import type { Cloud } from './cloud.ts';
import type { Clouds } from './clouds.ts';
import { ledgerRows, rowsOf } from './ledger-db.ts';
import type { Vm } from './moves.ts';

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
