import { type Digest, eventSubject } from '@carnet/events';
import type { Store } from '@carnet/store';
import { sql } from 'kysely';
import { beforeEach } from 'vitest';
import { type Exchange, openExchange } from '../exchange.ts';
import type { OwnOnBus } from '../homecoming.ts';
import { type Journal, type JournalParts, openJournal, type StoredEvent } from '../index.ts';
import { type Outbox, openOutbox } from '../outbox.ts';
import { twoStores } from './stores.ts';
import { A, B, C, decide, emptyStore, journalOptions, memoryLog, NEVER_SET_BACK, refusal, temporaryDir } from './world.ts';

export type Side = {
  readonly self: typeof A;
  readonly journal: Journal;
  readonly parts: JournalParts;
  readonly outbox: Outbox;
  readonly exchange: Exchange;
  readonly headDir: string;
};
type Sides = {
  a: Side;
  b: Side;
  /** What the bus holds of A's ledger to B. */
  onBus: readonly StoredEvent[];
  /** Whether more is taken in of the peer, for now. */
  isHeld: boolean;
};
/** As many events of an outbox as there are. */
export const ALL = 100;

export const peerOf = ({ self }: Side): typeof A => (self === A ? B : A);
export const digestsOf = (events: readonly { readonly digest: Digest }[]): readonly Digest[] =>
  events.map(({ digest }) => digest);

/** Two CSPs that have spoken with each other, anew before each test, and what can befall them. Closed by the suite that calls this. */
export function twoSides(open: () => Promise<Store>) {
  const sides = {} as Sides;
  const stream: OwnOnBus = async (after) =>
    sides.onBus.filter(({ placement }) => Number(placement.seq) > after).map(({ envelope }) => ({ envelope }));

  const store = twoStores(open, async () => {
    await sides.a?.journal.close();
    await sides.b?.journal.close();
  });

  const openSide = async (self: typeof A, headDir: string, boots = NEVER_SET_BACK): Promise<Side> => {
    const peer = self === A ? B : A;
    const { journal, parts } = await openJournal(
      journalOptions(store(self === A ? 0 : 1), self, [peer, C], { headDir, boots, log: memoryLog() }),
    );
    const file = parts.headFiles.get(peer);
    if (file === undefined) throw new Error('no head file');
    const outbox = openOutbox(parts, peer, file);
    return {
      self,
      journal,
      parts,
      outbox,
      exchange: openExchange(parts, peer, outbox, { onBus: self === A ? stream : async () => [], isHeld: () => sides.isHeld }),
      headDir,
    };
  };

  const opened = async (): Promise<void> => {
    sides.a = await openSide(A, temporaryDir());
    sides.b = await openSide(B, temporaryDir());
  };

  beforeEach(async () => {
    sides.onBus = [];
    sides.isHeld = false;
    await opened();
    await say(sides.b, 'so that both are known');
    await say(sides.a, 'one');
    for (const [from, to] of [
      [sides.a, sides.b],
      [sides.b, sides.a],
    ] as const)
      await hear(to, await told(from));
  });

  const say = async (side: Side, ...reasons: readonly string[]): Promise<readonly StoredEvent[]> => {
    const outcome = await side.journal.append(peerOf(side), decide(...reasons.map((reason) => refusal(reason))));
    if (!outcome.ok) throw new Error(outcome.code);
    return outcome.value.events;
  };
  const ledgerOf = (side: Side): Promise<readonly StoredEvent[]> =>
    side.journal.ledger({ publisher: side.self, audience: peerOf(side) });
  /** All of it is published: perhaps the bus delivers it, perhaps never. */
  const told = async (side: Side): Promise<readonly StoredEvent[]> => {
    await side.outbox.after(0, ALL);
    return ledgerOf(side);
  };
  const hear = (side: Side, events: readonly StoredEvent[]) =>
    side.journal.receiveAll(
      peerOf(side),
      events.map(({ envelope, placement }) => ({ envelope, subject: eventSubject(placement) })),
    );
  /** The database of A is what it was when its ledger ended here. */
  const restore = async (seq: number): Promise<void> => {
    const { db } = sides.a.parts.options.store;
    await sql`delete from events where publisher = ${A} and audience = ${B} and seq > ${seq}`.execute(db);
    await sql`update ledgers set head_seq = ${seq}, acked_seq = 0, read_back_seq = 0, covered_seq = 0,
      head_digest = (select digest from events where publisher = ${A} and audience = ${B} and seq = ${seq})
      where publisher = ${A} and audience = ${B}`.execute(db);
  };
  const restart = async (headDir = sides.a.headDir, boots = NEVER_SET_BACK): Promise<void> => {
    await sides.a.journal.close();
    sides.a = await openSide(A, headDir, boots);
  };
  /** A's fresh challenge, and B's answer. */
  const challenge = async (): Promise<void> => {
    for (const message of await sides.a.exchange.challengeIfInDoubt()) {
      const heard = await sides.b.exchange.hear(message);
      for (const reply of heard.ok ? heard.value.replies : []) await sides.a.exchange.hear(reply);
    }
  };
  const own = async () => (await sides.a.journal.peersState()).find(({ peer }) => peer === B)?.own;
  const appendCode = async (): Promise<string> => {
    const outcome = await sides.a.journal.append(B, decide(refusal('next')));
    return outcome.ok ? 'appended' : outcome.code;
  };
  /** C was never told anything, and has nothing to say. */
  const withoutC = () =>
    sql`update ledgers set quarantined_at = null where audience = ${C}`.execute(sides.a.parts.options.store.db);
  /** Both begin with an empty database, and know nothing. */
  const strangers = async (): Promise<void> => {
    for (const side of [sides.a, sides.b]) await side.journal.close();
    await Promise.all([emptyStore(store(0)), emptyStore(store(1))]);
    await opened();
  };

  return {
    sides,
    stream,
    openSide,
    say,
    ledgerOf,
    told,
    hear,
    restore,
    restart,
    challenge,
    own,
    appendCode,
    withoutC,
    strangers,
  };
}
