import { type Epoch, epoch as epochSchema } from '@carnet/events';
import { BEFORE_PUBLISHING, type Command, decide, evolve, highestEpoch, type Proposal, react } from '@carnet/saga';
import { EVIDENCE, intentData, migration, performed, placed, RECEIPT } from '../../libs/saga/src/testing.ts';
import { commandKey, execute, type HostCommand } from './host.ts';
import { type Broker, eventKey, nowOf, type Rules, refold, type Who, type World } from './world.ts';

/** `free`: someone's choice or misfortune. The others are what the system does by itself. */
export type Move = { readonly label: string; readonly free: boolean; readonly world: World };

export const RULES: Rules = {
  evolve,
  react,
  decide,
  execute,
  startsEarly: false,
  epochsMax: 1,
  order: 'hold',
  hasForsworn: ({ host }, epoch) => host.epoch === epoch && host.register === 'never',
  mayPublish: ({ host, journey }, event) => {
    if (event.type === 'KeyReleased') {
      // A host that resumed (its broker was restored in between) never surrenders; then the target's end makes it harmless.
      const given = journey.migrations.some((m) => m.epoch === event.epoch && m.targetPhase === 'relinquished');
      return given || (host.epoch === event.epoch && host.register === 'surrendered');
    }
    return event.type !== 'MigrationRelinquished' || (host.epoch === event.epoch && host.register === 'never');
  },
};

/** Events that stay for a while between decision and publication: there a restore can lose them. */
const LINGERS: ReadonlySet<string> = new Set(['KeyReleased', 'MigrationRelinquished', 'StartAuthorized', 'MigrationWithdrawn']);

export class Violation extends Error {
  override name = 'Violation';
}

export function moves(world: World, rules: Rules): readonly Move[] {
  return [...timePasses(world), ...brokerMoves(world, 'a', rules), ...brokerMoves(world, 'b', rules)];
}

/** Once for each migration, so that every one of them may expire. */
function timePasses(world: World): readonly Move[] {
  const open = [...world.a.journey.migrations, ...world.b.journey.migrations];
  const running = open.some((m) => m.facts.MigrationIntended?.time === nowOf(world));
  return running ? [{ label: 'time passes', free: false, world: { ...world, hour: world.hour + 1 } }] : [];
}

function brokerMoves(world: World, who: Who, rules: Rules): readonly Move[] {
  const broker = world[who];
  const found: Move[] = [];
  const add = (label: string, next: Broker | undefined, free = false): void => {
    if (next && next !== broker) found.push({ label: `${who}: ${label}`, free, world: { ...world, [who]: next } });
  };
  add('receives', receive(world, who, rules));
  add('publishes', publish(broker, rules));
  for (const command of broker.issued) add(`host ${commandKey(command)}`, hostExecutes(broker, command, rules));
  for (const owed of rules.react(broker.journey, broker.self, nowOf(world))) {
    for (const next of perform(world, broker, owed, rules)) add(owed.type, next);
  }
  for (const proposal of choices(broker, rules)) add(`chooses ${proposal.type}`, propose(world, broker, proposal, rules), true);
  for (const command of mayForswear(broker)) add(`wants ${commandKey(command)}`, issue(broker, command), true);
  add('is restored', restore(world, who, rules), true);
  add('intends', intend(world, broker, rules), true);
  return found;
}

function hostExecutes(broker: Broker, command: HostCommand, rules: Rules): Broker {
  const host = rules.execute(broker.host, command);
  return host === broker.host || JSON.stringify(host) === JSON.stringify(broker.host) ? broker : { ...broker, host };
}

function issue(broker: Broker, command: HostCommand): Broker {
  const key = commandKey(command);
  return broker.issued.some((other) => commandKey(other) === key) ? broker : { ...broker, issued: [...broker.issued, command] };
}

/** Host steps go out first; the event follows once the host shows that it is done. */
function perform(world: World, broker: Broker, owed: Command, rules: Rules): readonly Broker[] {
  const { epoch } = owed;
  const { host } = broker;
  const here = host.epoch === epoch;
  const say = (): Broker => propose(world, broker, performed(owed, nowOf(world)), rules);
  const after = (done: boolean, command: HostCommand): readonly Broker[] => [issue(broker, command), ...(done ? [say()] : [])];
  switch (owed.type) {
    case 'QuiesceVm':
      return after(here && host.register === 'mine' && !host.runs, { type: 'stop', epoch });
    case 'ReleaseKeys':
      return rules.order === 'hold' ? [say()] : after(here && host.register === 'surrendered', { type: 'surrender', epoch });
    case 'ResumeVm':
      return after(here && host.resumed && host.runs, { type: 'resume', epoch, reopens: owed.relinquished !== undefined });
    case 'AnswerIntent':
      return host.runs ? [] : [say()];
    case 'ReplaceKeys':
      // A host that swore `never`, or whose disk is full, ends it here: nothing was authorised yet.
      return here && host.register === 'never' ? [relinquish(world, broker, owed, rules)] : [say()];
    case 'AuthorizeStart':
      if (here && host.register === 'never') return [relinquish(world, broker, owed, rules)];
      return rules.startsEarly ? after(host.runs, { type: 'start', epoch }) : [say()];
    case 'StartVm':
      if (here && host.register === 'never') return [relinquish(world, broker, owed, rules)];
      return after(here && host.runs, { type: 'start', epoch });
    case 'Relinquish':
      return after(here && host.register === 'never', { type: 'never', epoch });
    default:
      return [say()];
  }
}

/** A start that the host refuses for ever gives the VM back, with the host's word. */
const relinquish = (world: World, broker: Broker, owed: Command, rules: Rules): Broker =>
  propose(
    world,
    broker,
    {
      type: 'Relinquish',
      migration: owed.migration,
      reason: { code: 'HOST_REFUSES', text: '' },
      receipt: RECEIPT,
      never: EVIDENCE,
    },
    rules,
  );

function propose(world: World, broker: Broker, proposal: Proposal, rules: Rules): Broker {
  const decision = rules.decide(broker.journey, broker.self, proposal, nowOf(world));
  if (!decision.ok) return broker;
  const peer = broker.self === world.a.self ? world.b.self : world.a.self;
  const next = placed(decision.draft, broker.self, peer, broker.ledger.length + 1, nowOf(world));
  const { journey, voidCode } = rules.evolve(broker.journey, next);
  if (voidCode) throw new Violation(`decided, then void: ${next.event.type} ${voidCode}`);
  const appended = { ...broker, journey, ledger: [...broker.ledger, next], ledgerKey: broker.ledgerKey + eventKey(next) };
  const before = BEFORE_PUBLISHING[next.event.type];
  const said = before ? issue(appended, { type: before, epoch: next.event.epoch }) : appended;
  return LINGERS.has(next.event.type) ? said : (publish(said, rules) ?? said);
}

/** Publishes the next decided event and, after it, what only waited for its turn. */
function publish(broker: Broker, rules: Rules): Broker | undefined {
  let { published } = broker;
  for (;;) {
    const next = broker.ledger[published]?.event;
    if (!next || !rules.mayPublish(broker, next)) break;
    if (published > broker.published && LINGERS.has(next.type)) break;
    published += 1;
  }
  return published === broker.published ? undefined : { ...broker, published };
}

function receive(world: World, who: Who, rules: Rules): Broker | undefined {
  const broker = world[who];
  const peer = who === 'a' ? world.b : world.a;
  const next = peer.ledger[broker.received];
  if (!next || broker.received >= peer.published) return undefined;
  const { journey, voidCode } = rules.evolve(broker.journey, next);
  if (voidCode) throw new Violation(`accepted there, void here: ${next.event.type} ${voidCode}`);
  return { ...broker, journey, received: broker.received + 1 };
}

/** What an operator or a failing performer may do instead of what is owed; `decide` says when. */
function choices(broker: Broker, rules: Rules): readonly Proposal[] {
  return broker.journey.migrations.flatMap((m): readonly Proposal[] => {
    const reason = { code: 'OPERATOR', text: '' };
    if (m.source === broker.self) return [{ type: 'Withdraw', migration: m.id, reason }];
    const intent = m.facts.MigrationIntended?.digest;
    if (m.targetPhase === 'idle' && intent) {
      return [{ type: 'MigrationRefused', migration: m.id, data: { intent, reasons: [reason] } }];
    }
    const unsworn = rules.order === 'hold' || rules.hasForsworn(broker, m.epoch);
    return [
      ...(unsworn ? [{ type: 'Relinquish', migration: m.id, reason, receipt: RECEIPT } as const] : []),
      ...(rules.hasForsworn(broker, m.epoch)
        ? [{ type: 'Relinquish', migration: m.id, reason, receipt: RECEIPT, never: EVIDENCE } as const]
        : []),
    ];
  });
}

/** Before giving up, or because something failed, a target may have its host forswear the epoch: it may then regret it. */
const mayForswear = (broker: Broker): readonly HostCommand[] =>
  broker.journey.migrations
    .filter((m) => m.target === broker.self && m.targetPhase !== 'idle' && m.targetPhase !== 'refused')
    .map((m) => ({ type: 'never', epoch: m.epoch }));

/** Once per side: the database comes back without what was decided and not yet published. */
function restore(world: World, who: Who, rules: Rules): Broker | undefined {
  const broker = world[who];
  if (broker.restored || broker.published === broker.ledger.length) return undefined;
  const ledger = broker.ledger.slice(0, broker.published);
  const lost = broker.ledger.slice(broker.published).map(eventKey).join('');
  const ledgerKey = broker.ledgerKey.slice(0, broker.ledgerKey.length - lost.length);
  const peers = (who === 'a' ? world.b : world.a).ledger.slice(0, broker.received);
  return { ...broker, ledger, ledgerKey, journey: refold(ledger, peers, rules), restored: true };
}

function intend(world: World, broker: Broker, rules: Rules): Broker | undefined {
  const next = highestEpoch([broker.journey]) + 1;
  // A broker moves only a VM that it has: what the ledgers of one pair cannot always tell.
  if (next > rules.epochsMax || !broker.host.runs) return undefined;
  const epoch: Epoch = epochSchema.parse(next);
  const [target, direction] = broker.self === world.a.self ? [world.b.self, 0] : [world.a.self, 1];
  const data = intentData('cold', broker.self, target, nowOf(world), rules.rekey);
  return propose(world, broker, { type: 'MigrationIntended', migration: migration(10 * next + direction), epoch, data }, rules);
}
