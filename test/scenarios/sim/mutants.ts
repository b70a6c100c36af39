import { digest, type TrustDomain } from '@carnet/events';
import type { HostPorts } from '@carnet/hypervisor';
import type { Journal, JournalOptions } from '@carnet/journal';
import type { LoopPorts } from '@carnet/runtime';
import type { AloneWith } from '../../../apps/broker/src/alone.ts';
import type { Hosts } from '../../../apps/broker/src/hosts/steps.ts';
import type { HandoverKeys } from '../../../apps/broker/src/keys/handover-keys.ts';
import { type PerformContext, stepOf } from '../../../apps/broker/src/perform/context.ts';
import type { IntakePorts } from '../../../apps/broker/src/service/intake.ts';
import { readFakeVolume, writeFakeVolume } from '../../../libs/hypervisor/src/fake/volumes.ts';
import { decodeEntry, encodeEntry } from '../../../libs/hypervisor/src/fence/entry.ts';
import { DISK, VM } from '../../../libs/saga/src/testing.ts';
import type { ReplicaKeys } from './custody.ts';
import type { HeadRule } from './heads.ts';
import type { KeyRules } from './keys.ts';

/** One deliberately broken rule. Nothing set: the honest system. */
export type Mutant = {
  readonly name: string;
  readonly breaks: string;
  readonly keys?: KeyRules;
  readonly handover?: (keys: HandoverKeys) => HandoverKeys;
  readonly manager?: (keys: ReplicaKeys['manager']) => ReplicaKeys['manager'];
  readonly hosts?: (hosts: Hosts) => Hosts;
  readonly alone?: (alone: AloneWith) => AloneWith;
  readonly inventory?: (inventory: PerformContext['inventory']) => PerformContext['inventory'];
  readonly loop?: (ports: LoopPorts, context: PerformContext) => LoopPorts;
  readonly hostPorts?: (ports: HostPorts, domain: TrustDomain) => HostPorts;
  /** What is kept outside of the database. */
  readonly heads?: HeadRule;
  /** Whether a machine asks at its boot what it has told. */
  readonly boots?: JournalOptions['boots'];
  /** Outside of the database is kept what is told, and not what hosts are to rely on. */
  readonly keepsTold?: boolean;
  /** What peers send again is not looked at. */
  readonly neverHeals?: boolean;
  /** What comes twice, and the bus has not recognised. */
  readonly repeats?: 'taken-for-forks';
  /** Whoever hears that libvirt lost its secrets does nothing. */
  readonly provides?: 'nothing';
  /** What breaking the glass asks. */
  readonly glass?: (ports: IntakePorts) => IntakePorts;
  /** What convicts a liar is thrown away: beside a liar only. */
  readonly forgives?: boolean;
  /** The journal as its broker sees it. */
  readonly journal?: (journal: Journal) => Journal;
  /** Signed heads are not said, or not kept once they have been heard. */
  readonly signedHeads?: 'unsaid' | 'unkept';
};

export const HONEST: Mutant = { name: 'none', breaks: 'nothing' };

/** A host's step that the broker takes for done without asking. */
const without =
  (skipped: string) =>
  (hosts: Hosts): Hosts => ({
    ...hosts,
    step: (of, step, body) =>
      step === skipped
        ? Promise.resolve({ kind: 'done', result: { step, artifacts: [], fates: [], ran: true }, evidence: undefined } as never)
        : hosts.step(of, step, body),
  });

/** A port of which some operations are others. */
export const instead = <P extends object>(port: P, change: Partial<P>): P =>
  new Proxy(port, { get: (target, property) => Reflect.get(property in change ? change : target, property) });

const isFence = (path: string): boolean => path.includes('/fence/');
type Files = HostPorts['files'];
const withFiles =
  (changed: (files: Files) => Partial<Files>) =>
  (ports: HostPorts): HostPorts => {
    return { ...ports, files: instead(ports.files, changed(ports.files)) };
  };

const startsEarly = (ports: LoopPorts, context: PerformContext): LoopPorts => ({
  ...ports,
  perform: async (command, key, attempt, signal) => {
    if (command.type === 'AuthorizeStart') {
      const { MigrationIntended: intent, MigrationOffered: offer } = command.facts;
      const { host } = offer.data.agent;
      const { spec } = intent.data;
      const by = { reason: 'MIGRATION', migration: command.migration } as const;
      const to = { host, vm: command.vm, epoch: command.epoch, purpose: 'run', by } as const;
      await context.hosts.step(stepOf(command, host), 'start', async () => ({
        spec,
        vcpus: 'run',
        secrets: await Promise.all(spec.disks.map(({ key: disk }) => context.keys.secretForHost(to, disk))),
      }));
    }
    return ports.perform(command, key, attempt, signal);
  },
});

/** How long the impatient source waits for an answer to its release, ms. */
const PATIENCE_MS = 500;

const rollsBack = (ports: LoopPorts, context: PerformContext): LoopPorts =>
  resuming(ports, context, (releasedMs) => context.nowMs() - releasedMs >= PATIENCE_MS);

/** Only what it finds when it starts. */
const takesBack = (ports: LoopPorts, context: PerformContext): LoopPorts => {
  const startedMs = context.nowMs();
  return resuming(ports, context, (releasedMs) => releasedMs < startedMs);
};

/** Takes back what was released, once it is time, whatever the target says. */
const resuming = (ports: LoopPorts, context: PerformContext, isTime: (releasedMs: number) => boolean): LoopPorts => ({
  ...ports,
  owed: async (key) => {
    const owed = await ports.owed(key);
    for (const journey of await context.ledgers.journeys(VM)) {
      const m = journey.migrations.at(-1);
      const { KeyReleased: released, MigrationIntended: intent, OfferAgreed: agreed } = m?.facts ?? {};
      if (
        m?.source !== context.self ||
        m.sourcePhase !== 'released' ||
        released === undefined ||
        intent === undefined ||
        agreed === undefined
      )
        continue;
      if (!isTime(Date.parse(released.time))) continue;
      await context.keys.reinstate(undefined, { migration: m.id, epoch: m.epoch });
      const { host } = agreed.data.agent;
      const by = { reason: 'MIGRATION', migration: m.id } as const;
      const to = { host, vm: m.vm, epoch: m.epoch, purpose: 'run', by } as const;
      const of = { host, vm: m.vm, migration: m.id, epoch: m.epoch, because: digest.parse('e'.repeat(64)) };
      await context.hosts.step(of, 'resume', async () => ({
        proof: { kind: 'relinquished', event: digest.parse('e'.repeat(64)) },
        secrets: await Promise.all(intent.data.spec.disks.map(({ key: disk }) => context.keys.secretForHost(to, disk))),
      }));
    }
    return owed;
  },
});

/** What a host is given as the event that it acts upon. */
const NO_EVENT = digest.parse('e'.repeat(64));

/** The source's host has given the VM away: all that it held goes at once, and not when the VM is known to run at the target. */
const shredsEarly = (hosts: Hosts): Hosts => ({
  ...hosts,
  step: async (of, step, body) => {
    const outcome = await hosts.step(of, step, body);
    if (step === 'surrender' && outcome.kind === 'done') await hosts.step(of, 'retire', async () => ({}));
    return outcome;
  },
});

/** As clocks say, and not as each event cites what came before it. */
const byTheClock = (journal: Journal): Journal => ({
  ...journal,
  eventsOfVm: async (of) => (await journal.eventsOfVm(of)).toSorted((a, b) => (a.placement.time < b.placement.time ? -1 : 1)),
});

/** Whoever holds a certificate has signed whatever is under its name. */
const believed =
  (identify: IntakePorts['identify']): IntakePorts['identify'] =>
  (leaf) => {
    const known = identify(leaf);
    return known === undefined ? undefined : { ...known, verifier: { verify: () => true } };
  };

const alwaysAlone: AloneWith = async (_, work) => ({ held: true, value: await work(new AbortController().signal) });

export const MUTANTS: readonly Mutant[] = [
  { name: 'rollback-on-a-timer', breaks: 'a source that hears nothing resumes by itself', loop: rollsBack },
  {
    name: 'resume-without-relinquishment',
    breaks: 'a source that starts anew resumes what it had released, and the target has not relinquished',
    loop: takesBack,
  },
  {
    name: 'release-before-surrender',
    breaks: 'the release is published before the host surrendered',
    hosts: without('surrender'),
  },
  { name: 'relinquish-before-host', breaks: 'the relinquishment is published before the host knows', hosts: without('forswear') },
  { name: 'start-before-record', breaks: 'the start is recorded after starting', loop: startsEarly },
  {
    name: 'no-fence',
    breaks: 'the host forgets epochs: there is no fence before the release',
    hostPorts: withFiles((files) => ({
      read: async (path) => {
        const bytes = await files.read(path);
        const entry = bytes !== undefined && isFence(path) ? decodeEntry(bytes) : undefined;
        return entry === undefined
          ? bytes
          : Buffer.from(encodeEntry({ ...entry, epoch: 0, standing: 'mine', vcpus: 'may-run', role: 'home' }));
      },
    })),
  },
  {
    name: 'surrender-forgotten',
    breaks: 'a host that surrendered an epoch takes it for its own',
    hostPorts: withFiles((files) => ({
      read: async (path) => {
        const bytes = await files.read(path);
        const entry = bytes !== undefined && isFence(path) ? decodeEntry(bytes) : undefined;
        return entry?.standing === 'surrendered'
          ? Buffer.from(encodeEntry({ ...entry, standing: 'mine', vcpus: 'may-run' }))
          : bytes;
      },
    })),
  },
  {
    name: 'fence-not-durable',
    breaks: 'the fence register is lost with the agent',
    hostPorts: withFiles((files) => {
      const volatile = new Map<string, Buffer>();
      return {
        read: async (path) => (isFence(path) ? volatile.get(path) : files.read(path)),
        write: async (path, bytes) => (isFence(path) ? void volatile.set(path, Buffer.from(bytes)) : files.write(path, bytes)),
      };
    }),
  },
  {
    name: 'permit-unkept',
    breaks: 'the leave to run the VM is not kept on the host',
    hostPorts: (ports) => ({ ...ports, permits: instead(ports.permits, { keep: async () => ({ ok: true, value: undefined }) }) }),
  },
  {
    name: 'import-before-release',
    breaks: 'the deposit alone makes the key active at the target',
    keys: { imports: 'on-deposit', keepsReleased: false },
  },
  {
    name: 'release-of-any-epoch',
    breaks: 'what an earlier release brought opens a later deposit of that key',
    keys: { imports: 'on-any-release', keepsReleased: false },
  },
  {
    name: 'dedup-by-the-bus-only',
    breaks: 'what comes twice is the bus’s to recognise: here it is taken for another event at the same position',
    repeats: 'taken-for-forks',
  },
  {
    name: 'key-kept-after-release',
    breaks: 'the source goes on using the key that it released',
    keys: { imports: 'on-release', keepsReleased: true },
  },
  {
    name: 'memory-key-kept',
    breaks: 'the key of a saved memory outlives its one use',
    handover: (keys) => ({ ...keys, memoryUsed: async () => undefined }),
  },
  {
    name: 'memory-state-kept',
    breaks: 'the saved memory stays on the disk of the host that resumed it',
    hostPorts: withFiles(({ remove }) => ({ remove: async (path) => (path.endsWith('.state') ? undefined : remove(path)) })),
  },
  {
    name: 'writes-after-save',
    breaks: 'the guest still writes to its disk once its memory is saved',
    hostPorts: (ports) => ({
      ...ports,
      hypervisor: instead(ports.hypervisor, {
        save: async (uuid, path) => {
          await ports.hypervisor.save(uuid, path);
          const disk = ports.paths.volume(VM, DISK);
          const volume = await readFakeVolume(ports.files, disk);
          if (volume !== undefined) await writeFakeVolume(ports.files, disk, { ...volume, marker: `after ${path}` });
        },
      }),
    }),
  },
  {
    name: 'release-forgotten',
    breaks: 'a source whose database was restored to before its release uses the key again, as that says',
    manager: (keys) => ({ ...keys, releasedByLedger: async () => undefined }),
  },
  {
    name: 'replaced-key-kept',
    breaks: 'the key that a volume came with is kept after another took its place',
    handover: (keys) => ({ ...keys, endReplaced: async () => undefined }),
  },
  {
    name: 'heads-in-database',
    breaks: 'no head is kept outside of the database: a restored one forks its ledger',
    heads: 'forgotten',
  },
  {
    name: 'heads-without-events',
    breaks: 'where a ledger ends is kept outside of the database, and not the events that led there',
    heads: 'heads',
  },
  {
    name: 'set-back-unseen',
    breaks: 'a machine that a snapshot has set back asks nobody what it has told since',
    boots: { look: () => undefined, isCompared: async () => true, compared: async () => undefined },
  },
  {
    name: 'relies-on-the-database',
    breaks: 'hosts act on events of ours that only the database has',
    keepsTold: true,
  },
  {
    name: 'secrets-kept',
    breaks: 'libvirt keeps the secrets of keys that were given away',
    hostPorts: (ports) => ({
      ...ports,
      hypervisor: instead(ports.hypervisor, { dropSecret: async () => undefined, hasSecret: async () => false }),
    }),
  },
  {
    name: 'secrets-not-again',
    breaks: 'secrets that libvirt lost while a VM ran stay lost',
    provides: 'nothing',
  },
  {
    name: 'share-kept',
    breaks: 'a host goes on serving the artifacts of a move that has ended',
    hostPorts: (ports) => ({ ...ports, artifacts: instead(ports.artifacts, { unserve: async () => undefined }) }),
  },
  {
    name: 'reservation-kept',
    breaks: 'the room for a move stays reserved after it',
    hostPorts: withFiles(({ remove }) => ({ remove: async (path) => (path.includes('/leases/') ? undefined : remove(path)) })),
  },
  { name: 'no-anti-entropy', breaks: 'what peers send again is not looked at', neverHeals: true },
  { name: 'forgives-lies', breaks: 'what a dishonest peer signed is not kept (beside a dishonest CSP)', forgives: true },
  { name: 'no-shredding', breaks: 'the source leaves its volumes after retirement', hosts: without('retire') },
  { name: 'no-compensation', breaks: 'the target leaves what came when it gives up', hosts: without('destroy') },
  {
    name: 'no-sweep',
    breaks: 'owed work is remembered, not derived: a crash loses it',
    loop: (ports) => ({ ...ports, open: async () => [] }),
  },
  {
    name: 'arrives-unrecorded',
    breaks: 'the VM that arrived is in nobody’s books',
    inventory: (inventory) => ({ ...inventory, add: async () => true }),
  },
  {
    name: 'leaves-unrecorded',
    breaks: 'the VM that left stays in the books of its source',
    inventory: (inventory) => ({ ...inventory, remove: async () => undefined }),
  },
  { name: 'two-peers-at-once', breaks: 'requests about one VM are decided side by side', alone: () => alwaysAlone },
  {
    name: 'shreds-early',
    breaks: 'the source shreds when it gives the VM away, and not once it runs elsewhere',
    hosts: shredsEarly,
  },
  {
    name: 'folds-by-the-clock',
    breaks: 'events are folded in the order of their times, not of their causes',
    journal: byTheClock,
  },
  {
    name: 'orders-without-events',
    breaks: 'hosts are told to act, and not on which signed event',
    hosts: (hosts) => ({ ...hosts, step: (of, step, body) => hosts.step({ ...of, because: NO_EVENT }, step, body) }),
  },
  {
    name: 'heads-unkept',
    breaks: 'what a peer has signed to hold is counted, and the signed head is not kept',
    signedHeads: 'unkept',
  },
  { name: 'heads-unsaid', breaks: 'nobody signs how far the ledgers go', signedHeads: 'unsaid' },
  {
    name: 'glass-by-anybody',
    breaks: 'the glass is broken by words that nobody verifies',
    glass: (ports) => ({ ...ports, identify: believed(ports.identify) }),
  },
  { name: 'copy-not-fenced', breaks: 'the target goes on with a VM that its source took back', hosts: without('standDown') },
];
