import {
  type Digest,
  type Draft,
  type HeadPosition,
  type Seq,
  type Timestamp,
  type TrustDomain,
  timestamp,
} from '@carnet/events';
import type { Tx } from '@carnet/store';
import { accept, type Checked, currentKeys, type LedgerState, positionOf, type Refusal, refuse } from '@carnet/trust';
import { type AppendCode, JOURNAL_CODES } from './codes.ts';
import {
  type Author,
  endingOf,
  type KeyEnding,
  owedAnnouncement,
  owedEnding,
  type SealedEvent,
  sealDraft,
  timeOf,
} from './draft.ts';
import { JournalError } from './error.ts';
import { advanceLedger, type JournalTx, lockOwnLedger, stateOf } from './ledgers.ts';
import { DRAFTS_MAX } from './limits.ts';
import type { Notice } from './notices.ts';
import type { ChainValidator } from './ports.ts';
import { type Queries, queries } from './queries.ts';
import { isCutOff, type Standing } from './standing.ts';
import { eventRow, type PlacedEvent, type StoredEvent } from './stored-event.ts';
import type { Tables } from './tables.ts';

/** What a plan sees and may write to: one transaction, under the ledger's head lock. */
export type AppendTx = Pick<Queries, 'eventsOfMigrations' | 'eventsOfVm' | 'event' | 'policiesAnnounced'> & {
  /** To co-commit rows of other libs: `tx.db.$extendTables<KeyTables>()`. Never use another connection inside a plan. */
  readonly db: Tx;
  readonly hasEvent: (digest: Digest) => Promise<boolean>;
};

/** What a plan decided. No drafts: nothing is decided, `value` says why. */
export type Decision<T> = {
  readonly drafts: readonly Draft[];
  /** Introduce our event key although nothing is drafted: a peer that waits for our signed heads can then verify them. */
  readonly announce?: boolean;
  /** End this event key of ours in this ledger, before the drafts. */
  readonly end?: KeyEnding;
  readonly value: T;
};

export type Plan<T> = (tx: AppendTx) => Promise<Decision<T>>;
/** One stored event for each draft, in order. */
export type Appended<T> = { readonly events: readonly StoredEvent[]; readonly value: T };
export type AppendOutcome<T> = Checked<Appended<T>, AppendCode>;

/** Drafts that begin something with a peer; everything else finishes what was begun, and is allowed on a frozen ledger. */
const BEGINS: ReadonlySet<Draft['type']> = new Set<Draft['type']>(['MigrationIntended', 'MigrationOffered']);

export type WriterPorts = {
  readonly self: TrustDomain;
  readonly audience: TrustDomain;
  /** Of now, for whom a quarantine waits. */
  readonly peers: readonly TrustDomain[];
  /** Who signs now: one answer for a whole transaction. */
  readonly author: () => Author;
  readonly validateChain: ChainValidator;
  readonly standing: Standing;
  /** The end of this ledger as it is known to be durable outside of the database. */
  readonly durableHead: () => HeadPosition;
  /** How far effects relied on the audience's ledger. */
  readonly reliedOn: () => HeadPosition;
};

/** Appends to our ledger to one peer, for as long as its transaction lasts. */
export type LedgerWriter = {
  /** The database under this process is behind the durable head: it was restored, or failed over to an older copy. */
  readonly foundBehind: boolean;
  /** Why nothing at all may be appended now. */
  readonly refusal: Refusal<AppendCode> | undefined;
  readonly state: () => LedgerState;
  /** Runs one plan and stores what it drafts. Throws what the plan throws. */
  readonly run: <T>(plan: Plan<T>) => Promise<AppendOutcome<T>>;
  /** Forgets what a plan did whose rows the caller rolled back. */
  readonly rewind: (state: LedgerState) => void;
  /** Writes the new head: once, after the last plan. Answers what was placed. */
  readonly finish: () => Promise<readonly Notice[]>;
};

/** Takes the head lock. */
export async function openWriter(tx: JournalTx, ports: WriterPorts): Promise<LedgerWriter> {
  const { self, audience, peers } = ports;
  // Before the lock is waited for: what is relied on meanwhile is not in the snapshot of that statement.
  const reliedOn = positionOf(ports.reliedOn()?.seq);
  const row = await lockOwnLedger(tx, { publisher: self, audience }, peers);
  const first = stateOf(row);
  const author = ports.author();
  let state = first;
  let placed: readonly SealedEvent[] = [];

  const run = async <T>(plan: Plan<T>): Promise<AppendOutcome<T>> => {
    const seen = new Set<Digest>();
    const { drafts, announce, end, value } = await plan(appendTx(tx, ports, seen));
    if (drafts.length === 0 && announce !== true && end === undefined) return accept({ events: [], value });
    if (state.frozen !== undefined && drafts.some(({ type }) => BEGINS.has(type)))
      return refuse('LEDGER_FROZEN', `since ${state.frozen.since}: ${state.frozen.code}`);
    if (drafts.some(({ type }) => BEGINS.has(type)) && isCutOff(await ports.standing(tx, audience)))
      return refuse('PEER_REVOKED', JOURNAL_CODES.PEER_REVOKED.text, { got: audience });
    const sealed = await sealAll(tx, { ...ports, author }, state, { drafts, end }, seen);
    if (sealed.length === 0) return accept({ events: [], value });
    await tx
      .insertInto('events')
      .values(sealed.map((each) => eventRow(each, each.payload.time)))
      .execute();
    state = sealed.at(-1)?.state ?? state;
    placed = [...placed, ...sealed];
    const events = sealed.slice(sealed.length - drafts.length).map(
      (each): StoredEvent => ({
        digest: each.digest,
        placement: each.payload,
        event: each.event,
        envelope: each.envelope,
        placedAt: each.payload.time,
        published: 'decided',
      }),
    );
    return accept({ events, value });
  };

  const foundBehind = positionOf(ports.durableHead()?.seq) > row.head_seq || reliedOn > row.received_seq;
  return {
    foundBehind,
    refusal: refusalOf(row, foundBehind),
    state: () => state,
    run,
    rewind: (to) => {
      state = to;
      placed = placed.filter(({ payload }) => positionOf(payload.seq) <= positionOf(to.head?.seq));
    },
    finish: async () => {
      if (state !== first) await advanceLedger(tx, state);
      return placed.map(({ payload, digest }) => ({
        publisher: self,
        audience,
        seq: Number(payload.seq),
        digest,
        type: payload.type,
        migration: payload.migration ?? null,
      }));
    },
  };
}

function refusalOf(
  { quarantined, lost }: { readonly quarantined: boolean; readonly lost: boolean },
  foundBehind: boolean,
): Refusal<AppendCode> | undefined {
  if (lost) return refuse('LEDGER_EVENTS_LOST', JOURNAL_CODES.LEDGER_EVENTS_LOST.text);
  if (quarantined || foundBehind) return refuse('LEDGER_QUARANTINED', 'our ledgers wait for what every peer holds of us');
  return undefined;
}

/** `seen` gathers what the plan read of the audience's ledger: what a draft then cites needs no second look. */
function appendTx(tx: JournalTx, { self, audience }: WriterPorts, seen: Set<Digest>): AppendTx {
  const read = queries(tx, self);
  const noted = <E extends PlacedEvent>(events: readonly E[]): readonly E[] => {
    for (const { placement, digest } of events)
      if (placement.publisher === audience && placement.audience === self) seen.add(digest);
    return events;
  };
  return {
    db: tx.$omitTables<keyof Tables>(),
    eventsOfMigrations: async (ids) => noted(await read.eventsOfMigrations(ids)),
    eventsOfVm: async (of) => noted(await read.eventsOfVm(of)),
    policiesAnnounced: read.policiesAnnounced,
    event: read.event,
    hasEvent: async (digest) => {
      const row = await tx.selectFrom('events').select('digest').where('digest', '=', digest).executeTakeFirst();
      return row !== undefined;
    },
  };
}

type Sealing = Omit<WriterPorts, 'author'> & { readonly author: Author };

async function sealAll(
  tx: JournalTx,
  ports: Sealing,
  from: LedgerState,
  { drafts, end }: { readonly drafts: readonly Draft[]; readonly end: KeyEnding | undefined },
  seen: ReadonlySet<Digest>,
): Promise<readonly SealedEvent[]> {
  const { author, self } = ports;
  if (drafts.length > DRAFTS_MAX)
    throw new JournalError('DRAFT_REFUSED', `expected at most ${DRAFTS_MAX} drafts, got ${drafts.length}`);
  const known = await knownCauses(tx, ports, drafts, seen);
  const keyEvents = await owedKeyEvents(tx, author, from, end);
  const ownChain =
    keyEvents.length === 0 ? undefined : await ports.validateChain(author.introduction.chain, self, timeOf(author.clock.nowMs()));
  const sealed: SealedEvent[] = [];
  for (const draft of [...keyEvents, ...drafts]) {
    const state = sealed.at(-1)?.state ?? from;
    sealed.push(sealDraft(author, state, draft, (cause) => known.has(cause), ownChain));
  }
  return sealed;
}

/** What must be said of our keys before anything else: the announcement of the one that signs, the end of the one before it. */
async function owedKeyEvents(
  tx: JournalTx,
  author: Author,
  from: LedgerState,
  end: KeyEnding | undefined,
): Promise<readonly Draft[]> {
  const announcement = owedAnnouncement(author, from);
  if (announcement !== undefined) return end === undefined ? [announcement] : [announcement, endingOf(author, from, end)];
  if (end !== undefined) return [endingOf(author, from, end)];
  const [newest, older] = currentKeys(from);
  const since = newest === undefined || older === undefined ? undefined : await timeAt(tx, from, newest.from);
  const ending = owedEnding(author, from, since);
  return ending === undefined ? [] : [ending];
}

async function timeAt(tx: JournalTx, { publisher, audience }: LedgerState, seq: Seq): Promise<Timestamp | undefined> {
  const row = await tx
    .selectFrom('events')
    .select('time')
    .where('publisher', '=', publisher)
    .where('audience', '=', audience)
    .where('seq', '=', positionOf(seq))
    .executeTakeFirst();
  return row === undefined ? undefined : timestamp.parse(row.time);
}

async function knownCauses(
  tx: JournalTx,
  { self, audience }: Pick<WriterPorts, 'self' | 'audience'>,
  drafts: readonly Draft[],
  seen: ReadonlySet<Digest>,
): Promise<ReadonlySet<Digest>> {
  const unseen = drafts.flatMap(({ causes }) => causes.filter((cause) => !seen.has(cause)));
  if (unseen.length === 0) return seen;
  const rows = await tx
    .selectFrom('events')
    .select('digest')
    .where('publisher', '=', audience)
    .where('audience', '=', self)
    .where('digest', 'in', unseen)
    .execute();
  return new Set([...seen, ...rows.map(({ digest }) => digest)]);
}
