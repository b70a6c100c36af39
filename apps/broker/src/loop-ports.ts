import { event, type MigrationId, type TrustDomain, timestamp, trustDomain, vmId } from '@carnet/events';
import type { Journal } from '@carnet/journal';
import type { JourneyKey, Loop, LoopPorts, Metrics, Outcome } from '@carnet/runtime';
import { type Command, nextDeadline, react } from '@carnet/saga';
import { type MigrationViews, rowsOf } from '@carnet/views';
import type { Failures } from './failures.ts';
import { destroyWhatIsGone, type GonePorts } from './gone.ts';
import type { Ledgers } from './ledgers.ts';
import { createOpenJourneys } from './open-journeys.ts';
import { isSettled, isSettledForGood } from './settled.ts';
import { openSettledTable } from './settled-table.ts';

export interface BrokerLoopPorts extends GonePorts {
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
      const { journey, ends } = await ledgers.foldedTo(vm, peer);
      await views.record(rowsOf(journey).slice(-ROWS_RECORDED));
      const deadline = nextDeadline(journey, self);
      const open = !isSettled(journey, self, now());
      if (!open) await destroyWhatIsGone(ports, journey);
      if (!open) await openJourneys.settle(ends, isSettledForGood(journey, self) ? 'for-good' : 'for-now');
      return {
        commands: react(journey, self, now()),
        open,
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
  const vmOf = async (peer: TrustDomain, migration: MigrationId): Promise<string | undefined> => {
    const name = `${peer} ${migration}`;
    const known = vms.get(name) ?? (await vmByIntent(journal, peer, migration));
    if (known === undefined) return undefined;
    if (vms.size >= VMS_REMEMBERED) vms.clear();
    vms.set(name, known);
    return known;
  };
  return journal.subscribe((notices) => {
    for (const { publisher, audience, type, migration } of notices) {
      metrics.events.inc({ direction: publisher === self ? 'own' : 'received', type: KNOWN_TYPES.has(type) ? type : 'unknown' });
      if (migration === null) continue;
      const peer = publisher === self ? audience : publisher;
      void vmOf(peer, migration).then(
        (vm) => vm !== undefined && loop.notice({ vm, peer }),
        // The sweep finds it: a database that does not answer now will be asked again.
        () => undefined,
      );
    }
  });
}

/** Migrations whose VM is remembered, at most. */
const VMS_REMEMBERED = 20_000;

/** Of the ledgers with this peer: a third CSP that reuses a migration's id says nothing about it. */
async function vmByIntent(
  journal: Pick<Journal, 'eventsOfMigrations'>,
  peer: TrustDomain,
  migration: MigrationId,
): Promise<string | undefined> {
  const events = await journal.eventsOfMigrations([migration]);
  const intent = events.find(
    ({ event, placement }) =>
      event?.type === 'MigrationIntended' && (placement.publisher === peer || placement.audience === peer),
  );
  return intent?.event?.type === 'MigrationIntended' ? intent.event.data.vm : undefined;
}
