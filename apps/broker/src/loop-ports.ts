import { type TrustDomain, timestamp, trustDomain, vmId } from '@carnet/events';
import type { Journal, Notice } from '@carnet/journal';
import type { JourneyKey, Loop, LoopPorts, Outcome } from '@carnet/runtime';
import { type Command, ended, type Journey, nextDeadline, react } from '@carnet/saga';
import type { Store } from '@carnet/store';
import { type MigrationViews, rowsOf } from '@carnet/views';
import type { Failures } from './failures.ts';
import type { Ledgers } from './ledgers.ts';

export interface BrokerLoopPorts {
  readonly self: TrustDomain;
  readonly journal: Journal;
  readonly ledgers: Ledgers;
  readonly views: MigrationViews;
  readonly store: Store;
  readonly failures: Failures;
  readonly perform: (command: Command) => Promise<Outcome>;
  readonly nowMs: () => number;
  readonly log: LoopPorts['log'];
  readonly metrics: LoopPorts['metrics'];
}

/** Events after which a journey may still owe something are all but these: both sides' last words. */
const LAST_WORDS = ['SourceRetired', 'SourceResumed', 'MigrationRefused'] as const;

const parsed = (key: JourneyKey) => ({ vm: vmId.parse(key.vm), peer: trustDomain.parse(key.peer) });

/** The broker's world as the one loop sees it. */
export function loopPorts(ports: BrokerLoopPorts): LoopPorts {
  const { self, journal, ledgers, views, store, failures } = ports;
  const now = () => timestamp.parse(new Date(ports.nowMs()).toISOString());
  return {
    open: async () => {
      const intents = await journal.intentsWithout(LAST_WORDS);
      const keys = intents.map(({ vm, peer }) => ({ vm, peer }));
      ports.metrics.openMigrations.set(keys.length);
      return keys;
    },
    owed: async (key) => {
      const { vm, peer } = parsed(key);
      const journey = await ledgers.journey(vm, peer);
      await views.record(rowsOf(journey).slice(-ROWS_RECORDED));
      const deadline = nextDeadline(journey, self);
      return {
        commands: react(journey, self, now()),
        open: !isSettled(journey),
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
    log: ports.log,
    metrics: ports.metrics,
  };
}

/** Older migrations of a journey have ended: their rows were written then. */
const ROWS_RECORDED = 2;

const isSettled = (journey: Journey): boolean => journey.migrations.every(ended);

/** Turns what is newly placed into looks at the journeys concerned. */
export function noticeJourneys(ports: Pick<BrokerLoopPorts, 'self' | 'journal' | 'metrics'>, loop: Loop): () => void {
  const vms = new Map<string, string>();
  const vmOf = async (migration: string, notice: Notice): Promise<string | undefined> => {
    const known = vms.get(migration);
    if (known !== undefined) return known;
    const event = (await ports.journal.event(notice.digest))?.event;
    const found = event?.type === 'MigrationIntended' ? event.data.vm : await vmByIntent(ports.journal, notice);
    if (found !== undefined) {
      if (vms.size >= VMS_REMEMBERED) vms.clear();
      vms.set(migration, found);
    }
    return found;
  };
  return ports.journal.subscribe((notices) => {
    for (const notice of notices) {
      ports.metrics.events.inc({ direction: notice.publisher === ports.self ? 'own' : 'received', type: notice.type });
      if (notice.migration === null) continue;
      const peer = notice.publisher === ports.self ? notice.audience : notice.publisher;
      void vmOf(notice.migration, notice).then(
        (vm) => vm !== undefined && loop.notice({ vm, peer }),
        // The sweep finds it: a database that does not answer now will be asked again.
        () => undefined,
      );
    }
  });
}

/** Migrations whose VM is remembered, at most. */
const VMS_REMEMBERED = 20_000;

async function vmByIntent(journal: Journal, { migration }: Notice): Promise<string | undefined> {
  if (migration === null) return undefined;
  const events = await journal.eventsOfMigrations([migration]);
  const intent = events.map(({ event }) => event).find((event) => event?.type === 'MigrationIntended');
  return intent?.type === 'MigrationIntended' ? intent.data.vm : undefined;
}
