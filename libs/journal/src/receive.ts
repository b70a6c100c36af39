import type { Digest, Seq, TrustDomain } from '@carnet/events';
import { type Admission, type AdmissionCode, admit, type LedgerState, positionOf, type VoidCode } from '@carnet/trust';
import { JOURNAL_CODES } from './codes.ts';
import { timeOf } from './draft.ts';
import { type Delivery, type EarlyEvent, type EarlyEvents, earlyEvents } from './early.ts';
import { advanceLedger, type JournalDb, type JournalTx, lockLedger, type StoredLedger, stateOf } from './ledgers.ts';
import { RECEIVE_BATCH_MAX } from './limits.ts';
import { type Lookups, lookUp } from './lookups.ts';
import type { Notice } from './notices.ts';
import { type Peek, peek } from './peek.ts';
import type { ChainValidator, Clock, Log } from './ports.ts';
import { convict, thawIfHealed } from './proofs.ts';
import { isCutOff, type Standing, type Vouched, vouchedFor } from './standing.ts';
import { eventRow } from './stored-event.ts';
import type { EventRow } from './tables.ts';

/** What became of one delivered envelope. Only `placed` changed a ledger. */
export type Received =
  | { readonly kind: 'placed'; readonly digest: Digest; readonly seq: Seq; readonly voidCode?: VoidCode }
  | { readonly kind: 'repeat'; readonly digest: Digest }
  /** Kept in memory until its predecessor comes. */
  | { readonly kind: 'gap'; readonly expectedSeq: Seq; readonly gotSeq: Seq }
  /** New work with the peer is frozen; both envelopes are kept. */
  | { readonly kind: 'fork'; readonly seq: Seq; readonly held: Digest; readonly got: Digest }
  /** Frozen until the peer has answered what it holds of us; kept in memory. */
  | { readonly kind: 'unknown-cause'; readonly digest: Digest }
  | { readonly kind: 'refused'; readonly code: AdmissionCode | 'PEER_REVOKED'; readonly text: string };

export type ReceiverPorts = {
  readonly self: TrustDomain;
  readonly peer: TrustDomain;
  /** `theirs`: the peer's ledger to us. `ours`: events of our own ledger that come back after this database was restored. */
  readonly ledger: 'theirs' | 'ours';
  readonly validateChain: ChainValidator;
  readonly standing: Standing;
  readonly clock: Clock;
  readonly log: Log;
};

export type Receiver = {
  readonly receive: (deliveries: readonly Delivery[]) => Promise<readonly Received[]>;
  /** Events in memory that wait for others. */
  readonly early: () => number;
};

/** Admits what comes of one ledger, many events in one transaction, in the order of their positions. */
export function openReceiver(db: JournalDb, ports: ReceiverPorts, committed: (placed: readonly Notice[]) => void): Receiver {
  const early = earlyEvents();
  let turn: Promise<unknown> = Promise.resolve();

  const batch = async (deliveries: readonly Delivery[]): Promise<readonly Received[]> => {
    const { results, placed, headSeq } = await db.transaction().execute((tx) => admitAll(tx, ports, early, deliveries));
    early.forgetUpTo(headSeq);
    committed(placed.map(noticeOf));
    return results;
  };

  return {
    early: early.size,
    receive: (deliveries) => {
      const mine = turn.then(async () => {
        const results: Received[] = [];
        for (let from = 0; from === 0 || from < deliveries.length; from += RECEIVE_BATCH_MAX)
          results.push(...(await batch(deliveries.slice(from, from + RECEIVE_BATCH_MAX))));
        return results;
      });
      turn = mine.catch(() => undefined);
      return mine;
    },
  };
}

type Batch = { readonly results: readonly Received[]; readonly placed: readonly EventRow[]; readonly headSeq: number };

const noticeOf = ({ publisher, audience, seq, digest, type, migration }: EventRow): Notice => ({
  publisher,
  audience,
  seq,
  digest,
  type,
  migration,
});

async function admitAll(
  tx: JournalTx,
  ports: ReceiverPorts,
  early: EarlyEvents,
  deliveries: readonly Delivery[],
): Promise<Batch> {
  const { self, peer, ledger } = ports;
  const [publisher, audience] = ledger === 'theirs' ? [peer, self] : [self, peer];
  const row = await lockLedger(tx, { publisher, audience });
  const judge = await openJudge(
    tx,
    ports,
    row,
    early,
    deliveries.map((delivery) => ({ delivery, peek: peek(delivery.envelope) })),
  );
  const results = new Map<Delivery, Received>();
  for (const event of judge.inOrder) results.set(event.delivery, await judge.judge(event));
  for (let next = early.at(judge.nextSeq()); next !== undefined; next = early.at(judge.nextSeq()))
    if ((await judge.judge(next)).kind !== 'placed') break;
  const rows = judge.rows();
  if (rows.length > 0) {
    await tx.insertInto('events').values(rows).execute();
    await advanceLedger(tx, judge.state());
    if (ledger === 'ours') await thawIfHealed(tx, self, peer, row.frozen);
  }
  return { results: deliveries.flatMap((delivery) => results.get(delivery) ?? []), placed: rows, headSeq: judge.nextSeq() - 1 };
}

type Judge = {
  readonly inOrder: readonly EarlyEvent[];
  readonly judge: (event: EarlyEvent) => Promise<Received>;
  readonly nextSeq: () => number;
  readonly state: () => LedgerState;
  readonly rows: () => readonly EventRow[];
};

async function openJudge(
  tx: JournalTx,
  ports: ReceiverPorts,
  row: StoredLedger,
  early: EarlyEvents,
  events: readonly EarlyEvent[],
): Promise<Judge> {
  let state = stateOf(row);
  const lookups: Lookups = await lookUp(tx, await lookupPorts(tx, ports, row), state, [
    ...events.map(({ peek }) => peek),
    ...early.peeks(),
  ]);
  const rows: EventRow[] = [];
  const nowMs = ports.clock.nowMs();
  let vouched = await cutOff(tx, ports, row, () => vouchedFor(state, events, lookups, nowMs));

  const judge = async (event: EarlyEvent): Promise<Received> => {
    // The same bytes were verified when they were placed.
    if (lookups.isPlaced(event.peek.digest)) return { kind: 'repeat', digest: event.peek.digest };
    if (vouched !== undefined && !vouched.covered.has(event.peek.digest)) return cutOffRefusal(ports, event.peek);
    const admission = admit(state, event.delivery.envelope, lookups.context(event.delivery.subject, nowMs));
    if (admission.kind === 'placed') {
      const { digest, payload } = admission;
      state = admission.state;
      if (vouched?.vouchers.has(digest) === true) vouched = undefined;
      lookups.placed(digest, payload.id, payload.seq);
      rows.push(eventRow({ ...admission, envelope: event.delivery.envelope }, timeOf(nowMs)));
      return {
        kind: 'placed',
        digest,
        seq: payload.seq,
        ...(admission.voidCode === undefined ? {} : { voidCode: admission.voidCode }),
      };
    }
    return unplaced(tx, ports, admission, event, early, nowMs);
  };

  return {
    inOrder: [...events].sort((a, b) => positionOf(a.peek.seq) - positionOf(b.peek.seq)),
    judge,
    nextSeq: () => positionOf(state.head?.seq) + 1,
    state: () => state,
    rows: () => rows,
  };
}

/** Own events that come back are vouched for by our own key; a peer that was revoked, by what replaces its certificate only. */
async function cutOff(
  tx: JournalTx,
  { ledger, peer, standing }: ReceiverPorts,
  row: StoredLedger,
  judge: () => Vouched,
): Promise<Vouched | undefined> {
  return ledger === 'theirs' && isCutOff(await standing(tx, peer, row)) ? judge() : undefined;
}

function cutOffRefusal({ peer, log }: ReceiverPorts, { seq, digest }: Peek): Received {
  log.warn({ code: 'PEER_REVOKED', peer, seq, digest }, JOURNAL_CODES.PEER_REVOKED.text);
  return { kind: 'refused', code: 'PEER_REVOKED', text: JOURNAL_CODES.PEER_REVOKED.text };
}

async function lookupPorts(tx: JournalTx, { self, peer, ledger, validateChain }: ReceiverPorts, row: StoredLedger) {
  const { publisher, audience } = row;
  if (ledger === 'ours') return { publisher, audience, causes: 'taken-as-known' as const, signedHead: undefined, validateChain };
  const signed = await tx.selectFrom('peers').select(['own_seq', 'own_digest']).where('peer', '=', peer).executeTakeFirst();
  const ahead = signed !== undefined && signed.own_seq > row.head_seq ? signed.own_digest : null;
  return { publisher: peer, audience: self, causes: 'must-be-known' as const, signedHead: ahead ?? undefined, validateChain };
}

/** Nothing is placed; what convicts is kept, what is early waits. */
async function unplaced(
  tx: JournalTx,
  ports: ReceiverPorts,
  admission: Exclude<Admission, { readonly kind: 'placed' }>,
  event: EarlyEvent,
  early: EarlyEvents,
  nowMs: number,
): Promise<Received> {
  const { self, peer, log } = ports;
  const { digest, seq } = event.peek;
  const convicted = { self, peer, digest, envelope: event.delivery.envelope, nowMs };
  switch (admission.kind) {
    case 'repeat':
      return admission;
    case 'gap':
      early.keep(positionOf(admission.gotSeq), event);
      return admission;
    case 'fork':
      log.error(
        { code: 'LEDGER_FORK', peer, seq: admission.seq, held: admission.held, got: admission.got },
        'two events at one position',
      );
      await convict(tx, { ...convicted, code: 'LEDGER_FORK', digests: [admission.held, digest] });
      return admission;
    case 'unknown-cause':
      log.error({ code: 'CAUSE_UNKNOWN', peer, seq, cause: admission.digest }, 'an event relies on one of ours that is not here');
      early.keep(positionOf(seq), event);
      await convict(tx, { ...convicted, code: 'CAUSE_UNKNOWN', digests: [digest, admission.digest] });
      return admission;
    case 'refused':
      log.warn({ code: admission.code, peer, seq, subject: event.delivery.subject, got: admission.got }, admission.text);
      return { kind: 'refused', code: admission.code, text: admission.text };
  }
}
