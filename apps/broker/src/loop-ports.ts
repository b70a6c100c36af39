import { event, type MigrationId, timestamp, trustDomain, vmId } from '@carnet/events';
import type { Journal } from '@carnet/journal';
import type { JourneyKey, Loop, LoopPorts, Metrics, Outcome } from '@carnet/runtime';
import { type Command, type Journey, nextDeadline, react, SAID_WHILE_STILL, standsStill } from '@carnet/saga';
import { type MigrationViews, rowsOf } from '@carnet/views';
import { type ComeHomePorts, redoWhatCameHome } from './come-home.ts';
import type { Failures } from './failures.ts';
import { destroyWhatIsGone, type GonePorts } from './gone.ts';
import type { Here } from './here.ts';
import type { Ledgers } from './ledgers.ts';
import { createOpenJourneys } from './open-journeys.ts';
import { isSettled, isSettledForGood } from './settled.ts';
import { openSettledTable } from './settled-table.ts';

export interface BrokerLoopPorts extends GonePorts, ComeHomePorts {
  readonly keys: GonePorts['keys'] & ComeHomePorts['keys'];
  readonly here: (journey: Journey) => Promise<Here>;
  readonly journal: Journal;
  readonly ledgers: Ledgers;
  readonly views: MigrationViews;
  readonly failures: Failures;
  readonly perform: (command: Command) => Promise<Outcome>;
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  readonly log: LoopPorts['log'];
  readonly metrics: Metrics;
}

const parsed = (key: JourneyKey) => ({ vm: vmId.parse(key.vm), peer: trustDomain.parse(key.peer) });

/** The broker's world as the one loop sees it. */
export function loopPorts(ports: BrokerLoopPorts): LoopPorts {
  const { self, journal, ledgers, views, store, failures } = ports;
  const openJourneys = createOpenJourneys(self, journal, openSettledTable(store));
  const now = () => timestamp.parse(new Date(ports.nowMs()).toISOString());
  return {
    open: async () => {
      const keys = await openJourneys.sweep();
      ports.metrics.openMigrations.set(openJourneys.count());
      return keys;
    },
    owed: async (key) => {
      const { vm, peer } = parsed(key);
      const { journey, ends, cameHome } = await ledgers.foldedTo(vm, peer);
      await views.record(rowsOf(journey).slice(-ROWS_RECORDED));
      // Whatever follows relies on what was folded: a restored database must not decide anything else in its place.
      await journal.keep(peer, ends);
      const deadline = nextDeadline(journey, self);
      const open = !isSettled(journey, self, now());
      await destroyWhatIsGone(ports, journey);
      const here = await ports.here(journey);
      if (cameHome) await redoWhatCameHome(ports, journey);
      if (here.kind === 'lost') failures.note(here.of.id, { command: 'BringBack', code: here.code, text: here.text, at: now() });
      // Nothing in the ledgers calls for the next look: what it waits for is the end of a quarantine.
      if (here.kind === 'later') openJourneys.keep(ends);
      else if (!open) await openJourneys.settle(ends, isSettledForGood(journey, self) ? 'for-good' : 'for-now');
      return {
        commands: react(journey, self, now()),
        open,
        urgent: journey.migrations.some(standsStill),
        wakeAtMs: deadline === undefined ? undefined : Date.parse(deadline),
      };
    },
    perform: async (command) => {
      const outcome = await ports.perform(command);
      if (outcome.kind === 'failed')
        failures.note(command.migration, { command: command.type, code: outcome.code, text: outcome.text, at: now() });
      else failures.forget(command.migration);
      return outcome;
    },
    lease: async (key) => store.tryLease(`carnet journey ${key.vm} ${key.peer}`),
    nowMs: ports.nowMs,
    monotonicMs: ports.monotonicMs,
    log: ports.log,
    metrics: ports.metrics,
  };
}

/** Older migrations of a journey have ended: their rows were written then. */
const ROWS_RECORDED = 2;

/** A type that a void event of a peer may carry is any text; as a label it would be a new time series each time. */
const KNOWN_TYPES: ReadonlySet<string> = new Set(event.options.map((option) => option.unwrap().shape.type.value));

/** Turns what is newly placed into looks at the journeys concerned. */
export function noticeJourneys(
  ports: Pick<BrokerLoopPorts, 'self' | 'journal' | 'metrics'>,
  loop: Pick<Loop, 'notice'>,
): () => void {
  const { self, journal, metrics } = ports;
  const vms = new Map<string, string>();
  const learn = async (unknown: readonly MigrationId[]): Promise<void> => {
    if (unknown.length === 0) return;
    // In one statement for all of one commit: a peer that asks for many VMs at once must not fill the queue to the database.
    const events = await journal.eventsOfMigrations(unknown);
    if (vms.size + events.length > VMS_REMEMBERED) vms.clear();
    for (const { event, placement } of events)
      if (event?.type === 'MigrationIntended')
        for (const peer of [placement.publisher, placement.audience]) vms.set(`${peer} ${event.migration}`, event.data.vm);
  };
  return journal.subscribe((notices) => {
    const concerned = notices.flatMap(({ publisher, audience, type, migration }) => {
      metrics.events.inc({ direction: publisher === self ? 'own' : 'received', type: KNOWN_TYPES.has(type) ? type : 'unknown' });
      return migration === null
        ? []
        : [{ peer: publisher === self ? audience : publisher, migration, urgent: SAID_WHILE_STILL.has(type) }];
    });
    const vmOf = ({ peer, migration }: (typeof concerned)[number]): string | undefined => vms.get(`${peer} ${migration}`);
    void learn([...new Set(concerned.filter((one) => vmOf(one) === undefined).map(({ migration }) => migration))]).then(
      () => {
        for (const one of concerned) {
          const vm = vmOf(one);
          if (vm !== undefined) loop.notice({ vm, peer: one.peer }, one.urgent);
        }
      },
      // The sweep finds it: a database that does not answer now will be asked again.
      () => undefined,
    );
  });
}

/** Migrations whose VM is remembered, at most. */
const VMS_REMEMBERED = 20_000;
