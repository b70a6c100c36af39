import { type TrustDomain, timestamp } from '@carnet/events';
import type { Hello } from '@carnet/hypervisor';
import { type Journal, type JournalOptions, type JournalParts, openJournal } from '@carnet/journal';
import type { Log, Metrics } from '@carnet/runtime';
import { startLoop } from '@carnet/runtime';
import type { Journey } from '@carnet/saga';
import type { Store } from '@carnet/store';
import { aloneWith } from '../../../apps/broker/src/alone.ts';
import { createFailures } from '../../../apps/broker/src/failures.ts';
import { letGoOfHeld } from '../../../apps/broker/src/held-still.ts';
import { bringBackWhatIsHere } from '../../../apps/broker/src/here.ts';
import { createHosts } from '../../../apps/broker/src/hosts/steps.ts';
import { openInventory } from '../../../apps/broker/src/inventory.ts';
import { keepSpares } from '../../../apps/broker/src/keys/spares.ts';
import { createLedgers, keepLedgers, type Ledgers } from '../../../apps/broker/src/ledgers.ts';
import { loopPorts, noticeJourneys } from '../../../apps/broker/src/loop-ports.ts';
import { breakGlassCase, breakGlassReason } from '../../../apps/broker/src/peers/break-glass.ts';
import type { PerformContext } from '../../../apps/broker/src/perform/context.ts';
import { createPerformer } from '../../../apps/broker/src/perform/perform.ts';
import { openPolicyGate } from '../../../apps/broker/src/policy-gate.ts';
import { reasonOf } from '../../../apps/broker/src/reason.ts';
import { provideSecretsAgain } from '../../../apps/broker/src/secrets-again.ts';
import { hasStarted, type IntakePorts, isMoving } from '../../../apps/broker/src/service/intake.ts';
import type { MachinePorts } from '../../../apps/broker/src/service/machines.ts';
import { openIntakes } from '../../../libs/journal/src/bus/intake.ts';
import { runLink } from '../../../libs/journal/src/bus/link.ts';
import { pacing } from '../../../libs/journal/src/bus/pace.ts';
import { convict } from '../../../libs/journal/src/proofs.ts';
import type { Receiver } from '../../../libs/journal/src/receive.ts';
import { setOf } from '../../../libs/policy/src/testing.ts';
import type { digestOf } from '../../../libs/saga/src/testing.ts';
import type { SimBus } from './bus.ts';
import type { Custody, SpareFiles } from './custody.ts';
import type { Faults } from './faults.ts';
import type { SimHost } from './host.ts';
import { simHostClient } from './host-client.ts';
import { chainValidator, hostOf, type Identity } from './identities.ts';
import type { Mutant } from './mutants.ts';
import { identifyPerson, PEOPLE } from './people.ts';
import type { Random } from './random.ts';
import type { Life, Scheduler } from './scheduler.ts';

export type ReplicaPorts = {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly faults: Faults;
  readonly bus: SimBus;
  readonly life: Life;
  readonly crash: () => void;
  readonly store: Store;
  readonly host: SimHost;
  readonly identity: Identity;
  readonly identities: ReadonlyMap<TrustDomain, Identity>;
  readonly custody: Custody;
  readonly leafOf: (certificate: string) => ReturnType<typeof digestOf>;
  readonly openHeadFile: NonNullable<JournalOptions['openHeadFile']>;
  readonly boots: JournalOptions['boots'];
  readonly spares: SpareFiles;
  /** Of its migrations. */
  readonly deadlineMs: number;
  /** How many of its offers may wait for an answer before it refuses to offer. */
  readonly unansweredOffers: number;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly mutant: Mutant;
  /** A dishonest CSP's own way with its journal. */
  readonly tampering: (journal: Journal) => Journal;
  /** What it has folded for itself, whenever it looks what it owes. */
  readonly folded: (peer: TrustDomain, journey: Journey) => void;
  /** It has looked at a journey, and has done what no command asks for. */
  readonly looked: (peer: string) => void;
};

/** One broker replica: its real parts, over simulated ports. */
export type Replica = {
  readonly life: Life;
  readonly journal: Journal;
  readonly intake: IntakePorts;
  readonly context: PerformContext;
  /** What switching a VM on and off needs. */
  readonly machines: MachinePorts;
  readonly heard: (hello: Hello) => void;
  /** The disk's key of the VM that is born here. */
  readonly createKey: () => Promise<void>;
};

/** By these every CSP decides: whoever asks may. */
const RULES = setOf('@id("all") permit (principal, action, resource);', { entities: PEOPLE });
const identifyIn = async (_: TrustDomain, leaf: string) => identifyPerson(leaf);
const NOTHING_OPEN = { migrations: 0, memoryMiB: 0, diskBytes: 0 };

/** Migrations are given this long: short enough that many end by their deadline, long enough that most need not. */
const OFFER_MS = 30_000;
export const DEADLINE_MS = 120_000;
export const UNANSWERED_OFFERS = 256;
const ROLLBACK_MS = 1_000;

/** Whoever asked gets the same promise: somebody else looks on. */
const observed = (ledgers: Ledgers, folded: ReplicaPorts['folded']): Ledgers => ({
  ...ledgers,
  foldedTo: (vm, peer) => {
    const answer = ledgers.foldedTo(vm, peer);
    answer.then(
      ({ journey }) => folded(peer, journey),
      () => undefined,
    );
    return answer;
  },
});

/** A mutant's: who comes twice is another one. */
function takingRepeatsForForks({ db, options: { self }, theirs }: JournalParts, nowMs: () => number): void {
  for (const [peer, receiver] of theirs) {
    const { receive } = receiver;
    const convicting: Receiver['receive'] = async (deliveries) => {
      const received = await receive(deliveries);
      for (const [at, result] of received.entries()) {
        const envelope = deliveries[at]?.envelope;
        if (result.kind !== 'repeat' || envelope === undefined) continue;
        const { digest } = result;
        const conviction = { self, peer, digest, envelope, nowMs: nowMs(), code: 'LEDGER_FORK', digests: [digest] } as const;
        await db.transaction().execute((tx) => convict(tx, conviction));
      }
      return received;
    };
    Object.assign(receiver, { receive: convicting });
  }
}

export async function startReplica(ports: ReplicaPorts): Promise<Replica> {
  const { scheduler, random, faults, life, store, identity, identities, custody, log, metrics, mutant } = ports;
  const self = identity.domain;
  const peers = [...identities.keys()].filter((domain) => domain !== self);
  const nowMs = (): number => scheduler.nowMs() + life.skewMs;
  const { journal: opened, parts } = await openJournal({
    store,
    self,
    peers,
    signing: () => identity.signing,
    validateChain: chainValidator(identities),
    headDir: '/heads',
    openHeadFile: ports.openHeadFile,
    boots: ports.boots,
    clock: { nowMs },
    random: random.bytes,
    log,
  });
  if (mutant.repeats === 'taken-for-forks') takingRepeatsForForks(parts, nowMs);
  const tampered = ports.tampering(opened);
  const kept = mutant.keepsTold === true ? { ...tampered, keep: async () => undefined } : tampered;
  const journal = mutant.journal?.(kept) ?? kept;
  const ledgers = observed(createLedgers(journal, self, nowMs, RULES.announced), ports.folded);
  const hosts = createHosts(simHostClient({ ...ports, scheduler }), nowMs);
  const books = openInventory({ store, hosts: [hostOf(self)], registry: () => hosts.client.registry, levelOf: () => 0, log });
  const inventory = mutant.inventory?.(books) ?? books;
  const keys = custody.open({
    scheduler,
    faults,
    life,
    store,
    spares: ports.spares,
    domain: self,
    registry: () => hosts.client.registry,
    nowMs,
    random: random.bytes,
    rules: mutant.keys ?? { imports: 'on-release', keepsReleased: false },
    durable: () => keepLedgers(journal),
  });
  const handover = mutant.handover?.(keys.handover) ?? keys.handover;
  keepSpares(keys.manager, log);
  const here = (journey: Journey) =>
    bringBackWhatIsHere({ self, store, ledgers, journal, inventory, keys: handover, log }, journey.vm, journey);
  const alone = aloneWith(store);
  const policy = openPolicyGate({
    self,
    set: RULES,
    counts: async () => ({ outgoing: NOTHING_OPEN, incoming: NOTHING_OPEN }),
    peers,
    hosts: [hostOf(self)],
    hostsUp: () => [hostOf(self)],
    now: () => timestamp.parse(new Date(nowMs()).toISOString()),
  });
  const quotas: PerformContext['quotas'] = {
    turn: async (_, __, work) => ({ held: true, value: await work(new AbortController().signal) }),
    unanswered: async () => 0,
    note: async () => undefined,
  };
  const context: PerformContext = {
    self,
    ledgers,
    keys: handover,
    hosts: mutant.hosts?.(hosts) ?? hosts,
    inventory,
    policy,
    peers: {
      agentFault: () => undefined,
      witnessFault: () => undefined,
      dataPathFault: () => undefined,
      releaseFault: async () => undefined,
      agreementFault: async () => undefined,
      requestFault: async () => undefined,
      breakGlassFault: async (m, { data, time }) => {
        const of = breakGlassCase(m, time);
        return of === undefined ? reasonOf('BREAK_GLASS_NOT_RELEASED', 'no') : breakGlassReason(identifyIn, data, of);
      },
    },
    alone,
    quotas,
    settings: {
      rollbackWindowMs: ROLLBACK_MS,
      graceSeconds: 1,
      rekeyArriving: 'none',
      kemsLeaving: ['0x647a'],
      kemArriving: '0x647a',
      unansweredOffers: ports.unansweredOffers,
    },
    here,
    nowMs,
  };
  const intake: IntakePorts = {
    agreementFault: async () => undefined,
    self,
    peers,
    ledgers,
    inventory,
    keys: handover,
    alone: mutant.alone?.(alone) ?? alone,
    policy: context.policy,
    waiting: { get: async () => undefined, remove: async () => undefined } as unknown as IntakePorts['waiting'],
    quotas,
    isStillGood: async () => true,
    nowMs,
    offerMs: OFFER_MS,
    deadlineMs: ports.deadlineMs,
    leastRekey: 'none',
    identify: identifyPerson,
  };
  // Images and new VMs need more; nobody asks for them here.
  const machines = {
    self,
    store,
    handover,
    inventory,
    hosts: hosts.client,
    hostNames: [hostOf(self)],
    nowMs,
    isMoving: (vm) => isMoving(intake, vm),
    hasStarted: (vm) => hasStarted(intake, vm),
    alone,
  } satisfies Partial<MachinePorts> as unknown as MachinePorts;
  const provide = provideSecretsAgain(machines, log);
  const lookAfterHeld = letGoOfHeld(context, log);
  const perform = createPerformer(context);
  const views = { record: async () => undefined } as unknown as Parameters<typeof loopPorts>[0]['views'];
  const loopOf = loopPorts({
    self,
    journal,
    ledgers,
    views,
    store,
    inventory,
    keys: mutant.manager?.(keys.manager) ?? keys.manager,
    handover,
    here,
    failures: createFailures(),
    perform,
    nowMs,
    monotonicMs: scheduler.nowMs,
    log,
    metrics,
  });
  const watched: typeof loopOf = {
    ...loopOf,
    owed: (key) => loopOf.owed(key).finally(() => ports.looked(key.peer)),
  };
  const loop = startLoop(mutant.loop?.(watched, context) ?? watched);
  noticeJourneys({ self, journal, metrics }, loop);
  const never = new AbortController().signal;
  const intakeOf = openIntakes(pacing, loop.unanswered);
  for (const peer of peers)
    void runLink(
      parts,
      peer,
      ports.bus.connect({
        self,
        life,
        crash: ports.crash,
        ignoresResent: mutant.neverHeals === true,
        isMute: mutant.signedHeads === 'unsaid',
      }),
      intakeOf(peer),
      never,
    );
  return {
    life,
    journal,
    intake,
    context,
    machines,
    heard: (hello) => {
      if (mutant.provides !== 'nothing') provide(hostOf(self), hello);
      lookAfterHeld(hostOf(self), hello);
    },
    createKey: keys.create,
  };
}
