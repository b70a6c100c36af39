import type { IntentRequest } from '@carnet/events';
import type { Csp } from './csp.ts';
import { askFor, wishCancel, wishMove } from './wishes.ts';
import type { Script, World } from './world.ts';

/** How soon an operator sees what the ledger says, who waits for it; and that a broker is back. */
const LOOK_MS = 1;
/** How often whoever wants the VM to go on looks whether it has come, and asks again where it may not go yet. */
const ONWARD_MS = 20;

/** A VM moves, its operator may change his mind; and where its way goes on, it does, from each place as soon as it has come there. */
export function moves(world: World, { route, cancel, way }: Script): void {
  const { scheduler, plan } = world;
  const [source, target] = legOf(world, route, 0);
  const replica = source?.replicas[0];
  if (source === undefined || target === undefined || replica === undefined) throw new Error('no CSP has started');
  wishMove(scheduler, source, replica, { target: target.domain, bytes: plan.bytes(10), way });
  if (cancel !== undefined) changeMind(world, source, cancel);
  if (route.length > 2) goOn(world, { route, way }, 1);
}

const legOf = (
  { csps }: Pick<World, 'csps'>,
  route: Script['route'],
  leg: number,
): readonly [Csp | undefined, Csp | undefined] => [csps[route[leg] ?? -1], csps[route[leg + 1] ?? -1]];

function changeMind({ scheduler }: World, source: Csp, cancel: NonNullable<Script['cancel']>): void {
  const isTime = (): boolean =>
    typeof cancel === 'number' || source.database.rows(`select seq from events where type = '${cancel}'`).length > 0;
  const look = (): void => {
    const now = source.replicas[0];
    if (now === undefined || !isTime()) scheduler.at(scheduler.elapsedMs() + LOOK_MS, look);
    else wishCancel(scheduler, source, now);
  };
  scheduler.at(scheduler.elapsedMs() + (typeof cancel === 'number' ? cancel : 0), look);
}

/** Each move has its epoch: the first is 1. Whatever went otherwise, the VM stays where it is; people have asked for it until the script's time is over. */
function goOn(world: World, { route, way }: Pick<Script, 'route' | 'way'>, first: number): void {
  const { scheduler, plan, stormMs } = world;
  const untilMs = scheduler.elapsedMs() + stormMs;
  let leg = first;
  let asked: IntentRequest | undefined;
  const look = (): void => {
    const [source, target] = legOf(world, route, leg);
    if (source === undefined || target === undefined || scheduler.elapsedMs() >= untilMs) return;
    const replica = source.replicas[0];
    if (asked !== undefined && hasIntended(source, asked)) [leg, asked] = [leg + 1, undefined];
    else if (replica !== undefined && source.lives[0]?.dead === false) {
      if (asked !== undefined) askFor(scheduler, source, replica, asked);
      else if (hasComeIn(source, leg))
        asked = wishMove(scheduler, source, replica, { target: target.domain, bytes: plan.bytes(10), way });
    }
    scheduler.at(scheduler.elapsedMs() + ONWARD_MS, look);
  };
  scheduler.at(scheduler.elapsedMs() + ONWARD_MS, look);
}

const hasComeIn = ({ database }: Csp, epoch: number): boolean =>
  database.rows('select vm from broker_vms where epoch = ?', epoch).length > 0;

const hasIntended = ({ database }: Csp, { migration }: IntentRequest): boolean =>
  database.rows(`select seq from events where type = 'MigrationIntended' and migration = ?`, migration).length > 0;
