import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Csp, eventually, lastTick, type Tick } from '@carnet/dev';
import type { BrokerClient } from '@carnet/publisher';
import { clientOf } from './cloud.ts';
import { type EventWatch, watchEvents } from './event-watch.ts';
import { rowsOf } from './ledger-db.ts';

/** A cloud with everything real, its door, and an eye on its ledgers. */
export type RealSide = {
  readonly csp: Csp;
  readonly plan: Csp['plan'];
  readonly database: Csp['database'];
  readonly api: BrokerClient;
  readonly watch: EventWatch;
};

export const realSide = (csp: Csp): RealSide => ({
  csp,
  plan: csp.plan,
  database: csp.database,
  api: clientOf(csp.paths, csp.plan, csp.ports.http, 'operator'),
  watch: watchEvents(csp.database),
});

export const consoleOf = ({ csp }: RealSide, uuid: string): string => join(csp.paths.volumes, uuid, 'serial.log');

/** The guest's next sign of life on this side, on its own console. */
export const tickAfter = (side: RealSide, uuid: string, before: Tick | undefined): Promise<Tick> =>
  eventually(
    `a tick of the guest at ${side.plan.domain}`,
    () => {
      const tick = lastTick(consoleOf(side, uuid));
      return tick !== undefined && (before === undefined || tick.boot !== before.boot || tick.n > before.n) ? tick : undefined;
    },
    60_000,
  );

/** Names of the side's domains, as `virsh list` filters them. */
export const domainsOf = ({ csp }: RealSide, ...filter: readonly string[]): readonly string[] =>
  csp.host
    .virsh('list', '--name', ...filter)
    .split('\n')
    .filter(Boolean);

/** The sides where a guest runs now, by virsh. */
export const runningAt = (sides: readonly RealSide[]): readonly string[] =>
  sides.flatMap((side) => (domainsOf(side, '--state-running').length > 0 ? [side.plan.domain] : []));

const listed = (dir: string): readonly string[] => (existsSync(dir) ? readdirSync(dir) : []);

/** Everything that a side could still have of a VM: by virsh, by its disks, by its inventory. */
export async function leftAt(side: RealSide): Promise<readonly string[]> {
  const { csp, database } = side;
  const { paths } = csp;
  const held = await rowsOf<{ readonly vm: string }>(database, 'select vm from broker_vms');
  return [
    ...domainsOf(side, '--all').map((name) => `domain ${name}`),
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
    ...strayAt(csp),
  ];
}

/** What belongs to a move under way, and to nothing else. */
export function strayAt({ paths }: Csp): readonly string[] {
  const [cloud, root] = paths.home.split('/').toReversed();
  return [
    ...listed(join(paths.volumes, 'staging')).map((name) => `staging ${name}`),
    ...listed(join(paths.agentState, 'leases')).map((name) => `lease ${name}`),
    ...listed(join('/dev/shm', `${root}-${cloud}`)).map((name) => `clear memory ${name}`),
  ];
}
