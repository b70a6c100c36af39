import { createHash } from 'node:crypto';
import {
  type Draft,
  digest,
  eventSubject,
  isMigrationEvent,
  ledgerStream,
  PAYLOAD_TYPES,
  placement,
  seq,
  type TrustDomain,
  timestamp,
  uuidv7,
} from '@carnet/events';
import type { Journal } from '@carnet/journal';
import { signEnvelope } from '@carnet/trust';
import { signMessage } from '../../../libs/journal/src/messages.ts';
import { payloadOf } from '../../../libs/journal/src/stored-event.ts';
import { VM } from '../../../libs/saga/src/testing.ts';
import type { SimBus } from './bus.ts';
import type { Csp } from './csp.ts';
import { HONEST, MUTANTS, type Mutant } from './mutants.ts';
import type { Random } from './random.ts';
import type { Replica } from './replica.ts';
import type { Scheduler } from './scheduler.ts';

/** Something that the liar signed and that convicts it before anybody, once its audience has it. */
export type Lie = {
  readonly what: string;
  readonly audience: TrustDomain;
  readonly envelope: Uint8Array;
  readonly by: 'stream' | 'message';
};

/** Rules that a dishonest CSP may drop for itself; the others break what a CSP owes to nobody but itself. */
const DROPS = [
  'rollback-on-a-timer',
  'release-before-surrender',
  'relinquish-before-host',
  'start-before-record',
  'no-fence',
  'surrender-forgotten',
  'import-before-release',
  'key-kept-after-release',
  'no-anti-entropy',
  'no-shredding',
  'leaves-unrecorded',
] as const;

/** How likely it changes what it is about to sign. */
const TAMPERS = 0.1;

export type Liar = ReturnType<typeof createLiar>;

const utf8 = new TextEncoder();
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The nth digest within, another one. */
function withOtherDigest<T>(value: T, random: Random): T {
  const digests = JSON.stringify(value).match(/"[0-9a-f]{64}"/g) ?? [];
  if (digests.length === 0) return value;
  const chosen = random.pick(digests);
  const other = createHash('sha256').update(chosen).digest('hex');
  return JSON.parse(JSON.stringify(value).replace(chosen, `"${other}"`));
}

/** A CSP that signs, tells and withholds what it likes. It has its own keys, its own database and its own host, and nobody else's. */
export function createLiar(ports: {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly bus: SimBus;
  readonly domain: TrustDomain;
}) {
  const { scheduler, random, bus, domain } = ports;
  const name = random.pick(DROPS);
  const mutant: Mutant = random.chance(0.5) ? (MUTANTS.find((one) => one.name === name) ?? HONEST) : HONEST;
  const lies: Lie[] = [];
  scheduler.note(`${domain} is dishonest, and breaks: ${mutant.breaks}`);

  const ownEvents = (csp: Csp, audience: TrustDomain) =>
    csp.database.rows(
      `select seq, digest, type, envelope from events where publisher = ? and audience = ? and type not in ('KeyAnnounced') order by seq`,
      domain,
      audience,
    );
  const rival = (envelope: unknown, change: (payload: Record<string, unknown>) => object, csp: Csp): Uint8Array | undefined => {
    const payload = envelope instanceof Uint8Array ? payloadOf(envelope) : undefined;
    if (!isObject(payload)) return undefined;
    const id = uuidv7(scheduler.nowMs(), random.bytes(10));
    const bytes = utf8.encode(JSON.stringify({ ...payload, id, ...change(payload) }));
    return signEnvelope(PAYLOAD_TYPES.event, bytes, csp.identity.signing.signer);
  };
  const inject = (audience: TrustDomain, envelope: Uint8Array): void => {
    const said = placement.safeParse(payloadOf(envelope)).data;
    if (said !== undefined) bus.inject(domain, audience, eventSubject({ ...said, publisher: domain, audience }), envelope);
  };
  const tell = (lie: Lie): void => {
    if (lie.by === 'stream') inject(lie.audience, lie.envelope);
    else bus.say(domain, lie.audience, lie.envelope);
  };
  const convicting = (lie: Lie): void => {
    scheduler.note(`${domain} lies to ${lie.audience}: ${lie.what}`);
    lies.push(lie);
    tell(lie);
  };

  /** Another event at a position that it has told. */
  const forks = (csp: Csp, audience: TrustDomain): void => {
    const events = ownEvents(csp, audience);
    if (events.length === 0) return;
    const envelope = rival(random.pick(events)['envelope'], () => ({}), csp);
    if (envelope !== undefined) convicting({ what: 'a fork', audience, envelope, by: 'stream' });
  };
  /** At the end of its ledger, an event that relies on one that its audience never published. */
  const citesWhatIsNot = (csp: Csp, audience: TrustDomain): void => {
    const last = ownEvents(csp, audience).at(-1);
    if (last === undefined) return;
    const cause = createHash('sha256').update(random.bytes(8)).digest('hex');
    const change = () => ({ seq: String(Number(last['seq']) + 1), prev: last['digest'], causes: [cause] });
    const envelope = rival(last['envelope'], change, csp);
    if (envelope !== undefined) convicting({ what: 'a cause that is not', audience, envelope, by: 'stream' });
  };
  /** A signed head of a ledger that it did not tell. */
  const falseHead = (csp: Csp, audience: TrustDomain): void => {
    const events = ownEvents(csp, audience);
    if (events.length === 0) return;
    const own = { seq: seq.parse(String(random.pick(events)['seq'])), digest: digest.parse('f'.repeat(64)) };
    const time = timestamp.parse(new Date(scheduler.nowMs()).toISOString());
    const envelope = signMessage(
      { kind: 'head', from: domain, to: audience, time, own, received: null },
      csp.identity.signing.signer,
    );
    convicting({ what: 'a false head', audience, envelope, by: 'message' });
  };
  /** What was true once, or was said to another. */
  const replays = (csp: Csp, audience: TrustDomain): void => {
    const rows = csp.database.rows('select envelope from events');
    const envelope = rows.length === 0 ? undefined : random.pick(rows)['envelope'];
    if (!(envelope instanceof Uint8Array)) return;
    scheduler.note(`${domain} replays to ${audience}`);
    if (random.chance(0.5)) inject(audience, envelope);
    else bus.say(domain, audience, envelope);
  };
  /** Any event of the VM that it has seen, as its own word on the newest migration. */
  const saysTooEarly = async ({ journal, life }: Replica, audience: TrustDomain): Promise<void> => {
    const events = await journal.eventsOfVm({ vm: VM, peer: audience });
    const known = events.flatMap(({ event: said }) => (said !== undefined && isMigrationEvent(said) ? [said] : []));
    const last = known.at(-1);
    if (last === undefined) return;
    const { type, data, causes } = random.pick(known);
    const draft = { type, data, causes, migration: last.migration, epoch: last.epoch } as Draft;
    scheduler.note(`${domain} says ${type} to ${audience} out of turn`);
    await scheduler.within(life, () => journal.append(audience, async () => ({ drafts: [draft], value: null })));
  };
  const withholds = (audience: TrustDomain): void => {
    scheduler.note(`${domain} withholds from ${audience}`);
    bus.withhold(ledgerStream(domain, audience), 3_000 + random.below(15_000));
  };

  return {
    domain,
    mutant,
    lies: (): readonly Lie[] => lies,
    /** One of its lies, to one of its peers. */
    lie: (csp: Csp, replica: Replica | undefined, audience: TrustDomain): void => {
      const which = random.below(6);
      if (which === 0) forks(csp, audience);
      else if (which === 1) citesWhatIsNot(csp, audience);
      else if (which === 2) falseHead(csp, audience);
      else if (which === 3) replays(csp, audience);
      else if (which === 4) withholds(audience);
      else if (replica !== undefined)
        saysTooEarly(replica, audience).catch((cause: unknown) => scheduler.note(`${domain}: ${String(cause)}`));
    },
    /** Nothing that it has signed is lost for ever: what convicts it reaches its audience. */
    surface: (): void => {
      for (const lie of lies) tell(lie);
    },
    /** Its own journal, that signs something else now and then: wrong roots, wrong citations, wrong MACs. */
    tampering: (journal: Journal): Journal => ({
      ...journal,
      append: (audience, plan) =>
        journal.append(audience, async (tx) => {
          const decision = await plan(tx);
          const drafts = decision.drafts.map((draft) => {
            if (!random.chance(TAMPERS)) return draft;
            scheduler.note(`${domain} tampers with its ${draft.type} to ${audience}`);
            return { ...draft, data: withOtherDigest(draft.data, random) } as Draft;
          });
          return { ...decision, drafts };
        }),
    }),
  };
}
