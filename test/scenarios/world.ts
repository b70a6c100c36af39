import { type MigrationEvent, type RekeyMethod, type Timestamp, type TrustDomain, timestamp } from '@carnet/events';
import { type decide, type Evolved, initialJourney, type Journey, type Placed, type react } from '@carnet/saga';
import { CSP_A, CSP_B, VM } from '../../libs/saga/src/testing.ts';
import { commandKey, type Execute, type Host, type HostCommand, hostKey } from './host.ts';

/** A broker: its ledger (the first `published` are out), what it has received, its host, and what it ever told that host. */
export type Broker = {
  readonly self: TrustDomain;
  readonly journey: Journey;
  readonly ledger: readonly Placed[];
  readonly ledgerKey: string;
  readonly published: number;
  readonly received: number;
  readonly host: Host;
  readonly issued: readonly HostCommand[];
  readonly restored: boolean;
};

/** `hour`: how often every deadline agreed until then has passed. */
export type World = { readonly a: Broker; readonly b: Broker; readonly hour: number };
export type Who = 'a' | 'b';

/** The rules under test. A mutant replaces one of them. */
export type Rules = {
  readonly evolve: (journey: Journey, placed: Placed) => Evolved;
  readonly react: typeof react;
  readonly decide: typeof decide;
  readonly execute: Execute;
  readonly mayPublish: (broker: Broker, event: MigrationEvent) => boolean;
  /** Told to the host already when the start is only owed to be authorised. */
  readonly startsEarly: boolean;
  readonly epochsMax: number;
  /** What every intent demands on arrival. */
  readonly rekey?: RekeyMethod;
  /** `hold`: decided, recorded by the host, published. `host-first`: recorded by the host, then decided and published. */
  readonly order: 'hold' | 'host-first';
  /** Whether the evidence *never* of this epoch is at hand. */
  readonly hasForsworn: (broker: Broker, epoch: number) => boolean;
};

/** Long after every deadline that was agreed an hour before. */
export const timeAt = (hour: number): Timestamp => timestamp.parse(`2026-11-23T${10 + 3 * hour}:00:00.000Z`);

export const nowOf = (world: World): Timestamp => timeAt(world.hour);

const broker = (self: TrustDomain, host: Host): Broker => ({
  self,
  journey: initialJourney(VM),
  ledger: [],
  ledgerKey: '',
  published: 0,
  received: 0,
  host,
  issued: [],
  restored: false,
});

export const initialWorld: World = {
  a: broker(CSP_A, { epoch: 0, register: 'mine', runs: true, resumed: false }),
  b: broker(CSP_B, { epoch: 0, register: 'none', runs: false, resumed: false }),
  hour: 0,
};

/** Two worlds with the same key behave the same from here on. */
export const worldKey = (world: World): string => `${brokerKey(world.a)}|${brokerKey(world.b)}|${world.hour}`;

const brokerKey = (b: Broker): string =>
  `${b.ledgerKey}/${b.published}/${b.received}/${hostKey(b.host)}/${b.issued.map(commandKey).sort()}/${b.restored ? 'R' : ''}`;

/** What distinguishes an event: its kind, its epoch, what it knew, when, and whether it brings the host's *never*. */
export function eventKey({ event }: Placed): string {
  const never = event.type === 'MigrationRelinquished' && event.data.never ? '!' : '';
  const causes = event.causes.map((cause) => cause.replace(/^(.)0+/, '$1'));
  return `${event.type}${event.epoch}.${causes}${never}.${event.time.slice(11, 13)} `;
}

/** What an end leaves behind: how each migration ended, and the hosts. Worlds that differ only in the story of it are one class. */
export const endKey = ({ a, b }: World): string =>
  [
    ...a.journey.migrations.map((m) => `${m.epoch}${m.source}${m.sourcePhase}${m.targetPhase}`),
    hostKey(a.host),
    hostKey(b.host),
  ].join();

/** An end as the beginning of the next epoch: where the VM had stopped before, both databases may be restored once more. */
export function renewed(world: World): World {
  const stopped = world.a.journey.migrations.some((m) => m.facts.SourceQuiesced);
  return {
    a: { ...world.a, ledgerKey: endKey(world), restored: !stopped },
    b: { ...world.b, ledgerKey: '', restored: !stopped },
    hour: 1,
  };
}

/** Folds both ledgers of a restored broker again, causes before effects. */
export function refold(own: readonly Placed[], peers: readonly Placed[], rules: Rules): Journey {
  let journey = initialJourney(VM);
  const known = new Set<string>();
  const queues = [[...own], [...peers]];
  for (;;) {
    const queue = queues.find(([next]) => next?.event.causes.every((cause) => known.has(cause)));
    const next = queue?.shift();
    if (!next) return journey;
    known.add(next.digest);
    journey = rules.evolve(journey, next).journey;
  }
}
