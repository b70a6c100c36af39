import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, eventSubject } from '@carnet/events';
import type { Store } from '@carnet/store';
import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import type { OwnOnBus } from '../doubt.ts';
import { type Exchange, openExchange } from '../exchange.ts';
import { openHeadFile } from '../head-file.ts';
import { type Journal, type JournalParts, openJournal, type StoredEvent } from '../index.ts';
import { type Outbox, openOutbox } from '../outbox.ts';
import { twoStores } from './stores.ts';
import { A, anyDigest, B, C, decide, emptyStore, journalOptions, memoryLog, refusal, temporaryDir } from './world.ts';

type Side = {
  readonly self: typeof A;
  readonly journal: Journal;
  readonly parts: JournalParts;
  readonly outbox: Outbox;
  readonly exchange: Exchange;
  readonly headDir: string;
};
const ALL = 100;

/** What was told is never contradicted, whatever becomes of the database: every database that a journal stands on passes this. */
export function keptContract(open: () => Promise<Store>): void {
  let a: Side;
  let b: Side;
  /** What the bus holds of A's ledger to B. */
  let onBus: readonly StoredEvent[] = [];
  const stream: OwnOnBus = async (after) =>
    onBus.filter(({ placement }) => Number(placement.seq) > after).map(({ envelope }) => ({ envelope }));

  const store = twoStores(open, async () => {
    await a?.journal.close();
    await b?.journal.close();
  });

  const openSide = async (self: typeof A, headDir: string): Promise<Side> => {
    const peer = self === A ? B : A;
    const { journal, parts } = await openJournal(
      journalOptions(store(self === A ? 0 : 1), self, [peer, C], { headDir, log: memoryLog() }),
    );
    const file = parts.headFiles.get(peer);
    if (file === undefined) throw new Error('no head file');
    const outbox = openOutbox(parts.db, self, peer, file);
    return {
      self,
      journal,
      parts,
      outbox,
      exchange: openExchange(parts, peer, outbox, self === A ? stream : async () => []),
      headDir,
    };
  };

  beforeEach(async () => {
    onBus = [];
    a = await openSide(A, temporaryDir());
    b = await openSide(B, temporaryDir());
    await say(b, 'so that both are known');
    await say(a, 'one');
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const)
      await hear(to, await told(from));
  });

  const peerOf = ({ self }: Side) => (self === A ? B : A);
  const say = async (side: Side, ...reasons: readonly string[]): Promise<readonly StoredEvent[]> => {
    const outcome = await side.journal.append(peerOf(side), decide(...reasons.map((reason) => refusal(reason))));
    if (!outcome.ok) throw new Error(outcome.code);
    return outcome.value.events;
  };
  const ledgerOf = (side: Side): Promise<readonly StoredEvent[]> =>
    side.journal.ledger({ publisher: side.self, audience: peerOf(side) });
  const digestsOf = (events: readonly { readonly digest: Digest }[]) => events.map(({ digest }) => digest);
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
    const { db } = a.parts.options.store;
    await sql`delete from events where publisher = ${A} and audience = ${B} and seq > ${seq}`.execute(db);
    await sql`update ledgers set head_seq = ${seq}, acked_seq = 0, read_back_seq = 0, covered_seq = 0,
      head_digest = (select digest from events where publisher = ${A} and audience = ${B} and seq = ${seq})
      where publisher = ${A} and audience = ${B}`.execute(db);
  };
  const restart = async (headDir = a.headDir): Promise<void> => {
    await a.journal.close();
    a = await openSide(A, headDir);
  };
  /** A's fresh challenge, and B's answer. */
  const challenge = async (): Promise<void> => {
    for (const message of await a.exchange.challengeIfInDoubt()) {
      const heard = await b.exchange.hear(message);
      for (const reply of heard.ok ? heard.value.replies : []) await a.exchange.hear(reply);
    }
  };
  const own = async () => (await a.journal.peersState()).find(({ peer }) => peer === B)?.own;
  const appendCode = async (): Promise<string> => {
    const outcome = await a.journal.append(B, decide(refusal('next')));
    return outcome.ok ? 'appended' : outcome.code;
  };
  /** C was never told anything, and has nothing to say. */
  const withoutC = () => sql`update ledgers set quarantined_at = null where audience = ${C}`.execute(a.parts.options.store.db);
  const forget = (seqs: readonly number[]) => {
    const path = join(a.headDir, 'csp-b_example.head');
    const lines = readFileSync(path, 'utf8').split('\n');
    const isOf = (line: string): boolean =>
      line.startsWith('{"payloadType"') &&
      seqs.includes(Number(JSON.parse(Buffer.from(JSON.parse(line).payload, 'base64').toString()).seq));
    writeFileSync(path, lines.filter((line) => !isOf(line)).join('\n'));
  };

  describe('events that were told, and that the database has lost,', () => {
    it('come back from our own files at once; nothing is appended before the peer has answered; no position is used twice', async () => {
      await say(a, 'withheld', 'withheld too');
      const before = await told(a);
      await restore(2);
      await restart();
      expect(digestsOf(await ledgerOf(a))).toEqual(digestsOf(before));
      expect(await appendCode()).toBe('LEDGER_QUARANTINED');
      expect(await a.outbox.after(0, ALL)).toEqual([]);
      await challenge();
      await withoutC();
      const [next] = await say(a, 'goes on');
      expect(next?.placement).toMatchObject({ seq: '5', prev: before.at(-1)?.digest });
      // What the bus withheld comes after what followed it, and twice.
      const results = await hear(b, [...(await told(a)).slice(4), ...before.slice(2), ...before]);
      expect(results.map(({ kind }) => kind)).toEqual(['placed', 'placed', 'placed', 'repeat', 'repeat', 'repeat', 'repeat']);
      expect(await b.journal.peersState()).toMatchObject([{ proofs: [] }, { proofs: [] }]);
    });

    it('come back if an effect was to rely on them, told or not; what nobody relied on does not', async () => {
      const [first, second, third] = await say(a, 'relied on', 'relied on too', 'nobody knew');
      if (first === undefined || second === undefined || third === undefined) throw new Error('three events');
      const own = digestsOf(await ledgerOf(a)).slice(0, 2);
      await a.journal.keep(B, { own: { seq: Number(first.placement.seq), digest: first.digest }, received: undefined });
      await restore(2);
      await restart();
      expect(digestsOf(await ledgerOf(a))).toEqual([...own, first.digest]);
      expect(await appendCode()).toBe('LEDGER_QUARANTINED');
      // A second one in its place would be signed by nobody.
      await challenge();
      await withoutC();
      const [next] = await say(a, 'goes on');
      expect(next?.placement).toMatchObject({ seq: '4', prev: first.digest });
    });

    it('are kept up to where the ledger ends now, for all that is there; for a stranger there is nothing', async () => {
      const said = await say(a, 'relied on', 'relied on too');
      const before = await ledgerOf(a);
      await a.journal.keep(B);
      await a.journal.keep(B);
      await a.journal.keep(C);
      await restore(2);
      await restart();
      expect(digestsOf(await ledgerOf(a))).toEqual(digestsOf(before));
      expect(before.at(-1)?.digest).toBe(said.at(-1)?.digest);
      // Of somebody who is no peer there is nothing to keep.
      await a.journal.keep(A);
    });

    it('of the peer, on which effects relied: quarantine until they are here again, and nothing is decided without them', async () => {
      const [, last] = await say(b, 'heard', 'and acted upon');
      if (last === undefined) throw new Error('two events');
      await hear(a, await told(b));
      await a.journal.keep(B, { own: undefined, received: { seq: Number(last.placement.seq), digest: last.digest } });
      const { db } = a.parts.options.store;
      await sql`delete from events where publisher = ${B} and seq >= ${Number(last.placement.seq)}`.execute(db);
      await sql`update ledgers set head_seq = ${Number(last.placement.seq) - 1}, head_digest = ${last.placement.prev}
        where publisher = ${B} and audience = ${A}`.execute(db);
      // Under a running process, and after its restart.
      expect(await appendCode()).toBe('LEDGER_QUARANTINED');
      await restart();
      expect(await appendCode()).toBe('LEDGER_QUARANTINED');
      await challenge();
      await withoutC();
      expect(await appendCode()).toBe('LEDGER_QUARANTINED');
      await hear(a, await told(b));
      await challenge();
      await withoutC();
      expect(await appendCode()).toBe('appended');
    });

    it('come back under a running process, when it is found behind', async () => {
      await say(a, 'withheld');
      const before = await told(a);
      await restore(2);
      expect(await appendCode()).toBe('LEDGER_QUARANTINED');
      expect(digestsOf(await ledgerOf(a))).toEqual(digestsOf(before));
    });

    it('come back from our stream on the bus, if our files were of the time before they held events', async () => {
      await say(a, 'withheld', 'withheld too');
      const before = await told(a);
      forget([1, 2, 3, 4]);
      await restore(2);
      await restart();
      onBus = before;
      await challenge();
      expect(digestsOf(await ledgerOf(a))).toEqual(digestsOf(before));
      expect((await own())?.quarantinedAt).toBeUndefined();
    });

    it('and that are nowhere, stop the ledger for good: nothing is appended, and the code says what is to be done', async () => {
      await say(a, 'withheld', 'withheld too');
      const before = await told(a);
      forget([3]);
      await restore(2);
      await restart();
      await challenge();
      const heads = await a.journal.heads();
      expect(await own()).toMatchObject({ lostSeq: 4, head: { seq: '2' } });
      expect(await appendCode()).toBe('LEDGER_EVENTS_LOST');
      expect(await a.journal.append(C, decide(refusal()))).toMatchObject({ ok: false, code: 'LEDGER_EVENTS_LOST' });
      expect(await a.outbox.after(0, ALL)).toEqual([]);
      expect(await a.journal.heads()).toEqual(heads);
      // It is said once, however often it is found.
      await challenge();
      const said = a.parts.options.log as ReturnType<typeof memoryLog>;
      expect(said.said.filter(({ fields }) => 'code' in fields && fields.code === 'LEDGER_EVENTS_LOST')).toHaveLength(1);
      // Somebody finds it: here the bus.
      onBus = before;
      await challenge();
      expect(digestsOf(await ledgerOf(a))).toEqual(digestsOf(before));
      expect((await own())?.lostSeq).toBeUndefined();
      await withoutC();
      expect(await appendCode()).toBe('appended');
    });

    it('come back from the files of another replica, whose folder is brought', async () => {
      await say(a, 'withheld');
      const before = await told(a);
      const folder = a.headDir;
      await restore(2);
      await restart(temporaryDir());
      expect(await ledgerOf(a)).toHaveLength(2);
      await restart(folder);
      expect(digestsOf(await ledgerOf(a))).toEqual(digestsOf(before));
      expect(await appendCode()).toBe('LEDGER_QUARANTINED');
    });
  });

  it('what was relied on before it was told comes back, and is told once the quarantine is over', async () => {
    const said = await say(a, 'relied on');
    await a.journal.keep(B);
    await restore(2);
    await restart();
    expect(await a.outbox.after(2, ALL)).toEqual([]);
    await challenge();
    await withoutC();
    expect(digestsOf(await a.outbox.after(2, ALL))).toEqual(digestsOf(said));
  });

  it('a replica that takes over keeps what another has told and the peer has not acknowledged', async () => {
    await say(a, 'told by the other one');
    await told(a);
    const other = await openSide(A, temporaryDir());
    await say(other, 'told by this one');
    await other.outbox.after(3, ALL);
    const kept = await (await openHeadFile(other.headDir, B)).read();
    expect(kept.events.map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
    await other.journal.close();
  });

  it('a row that is damaged is not told, nor one that contradicts what was kept', async () => {
    await told(a);
    await say(a, 'damaged');
    const { db } = a.parts.options.store;
    await sql`update events set envelope = (select envelope from events where publisher = ${A} and audience = ${B} and seq = 2)
      where publisher = ${A} and audience = ${B} and seq = 3`.execute(db);
    await expect(a.outbox.after(2, ALL)).rejects.toMatchObject({ code: 'LEDGER_BROKEN' });
    expect((await (await openHeadFile(a.headDir, B)).read()).events).toHaveLength(2);
  });

  it('a head that is damaged is not signed, nor kept as the end of what was told', async () => {
    await told(a);
    await say(a, 'the last');
    const { db } = a.parts.options.store;
    await sql`update ledgers set head_digest = ${anyDigest} where publisher = ${A} and audience = ${B}`.execute(db);
    await expect(a.outbox.tellableHead()).rejects.toMatchObject({ code: 'LEDGER_BROKEN' });
    await expect(a.journal.keep(B)).rejects.toMatchObject({ code: 'LEDGER_BROKEN' });
    expect((await (await openHeadFile(a.headDir, B)).read()).told?.seq).toBe('2');
  });

  describe('two that know nothing of each other', () => {
    const forgetPeer = async (side: Side): Promise<void> => {
      const { db } = side.parts.options.store;
      const peer = peerOf(side);
      await sql`delete from events where publisher = ${peer} and audience = ${side.self}`.execute(db);
      await sql`update ledgers set head_seq = 0, head_digest = null, keys = '[]' where publisher = ${peer} and audience = ${side.self}`.execute(
        db,
      );
      await sql`update peers set own_seq = 0, own_digest = null where peer = ${peer}`.execute(db);
    };
    /** All that both say at one moment, and what follows from it. */
    const talk = async (): Promise<void> => {
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const)
        for (const message of [...(await from.exchange.challengeIfInDoubt()), await from.exchange.ask()]) {
          const heard = await to.exchange.hear(message);
          for (const reply of heard.ok ? heard.value.replies : []) {
            const answered = await from.exchange.hear(reply);
            if (!answered.ok) await from.journal.receive(to.self, { envelope: reply });
          }
        }
    };

    it('since the one was restored and the other forgot: the one leaves quarantine all the same', async () => {
      await say(a, 'withheld');
      const before = await told(a);
      await forgetPeer(a);
      await forgetPeer(b);
      await restore(2);
      await restart();
      for (let round = 0; round < 3; round++) await talk();
      await withoutC();
      expect((await own())?.quarantinedAt).toBeUndefined();
      expect(digestsOf(await ledgerOf(a))).toEqual(digestsOf(before));
      expect(await appendCode()).toBe('appended');
    });

    const strangers = async (): Promise<void> => {
      for (const side of [a, b]) await side.journal.close();
      await Promise.all([emptyStore(store(0)), emptyStore(store(1))]);
      a = await openSide(A, temporaryDir());
      b = await openSide(B, temporaryDir());
    };
    const quarantineAt = ({ self, parts }: Side) =>
      sql`update ledgers set quarantined_at = '2026-11-28T10:00:00.000Z' where publisher = ${self} and audience <> ${C}`.execute(
        parts.options.store.db,
      );

    it('since nothing was ever said: the one is restored, the other introduces itself, and the one leaves quarantine', async () => {
      await strangers();
      await quarantineAt(a);
      for (let round = 0; round < 3; round++) {
        await talk();
        await hear(a, await ledgerOf(b));
      }
      expect((await own())?.quarantinedAt).toBeUndefined();
      expect(await appendCode()).toBe('appended');
    });

    it('since nothing was ever said, and are both restored: both leave quarantine', async () => {
      await strangers();
      await quarantineAt(a);
      await quarantineAt(b);
      await talk();
      for (const side of [a, b]) expect(await say(side, 'begins')).toHaveLength(1);
    });

    it('are not believed where the bus holds an event of ours, nor with an answer to no question', async () => {
      const before = await told(a);
      await strangers();
      await quarantineAt(a);
      await quarantineAt(b);
      onBus = before.slice(1);
      await talk();
      expect((await own())?.quarantinedAt).toBeDefined();
      onBus = [];
      const [, challenged] = await a.exchange.challengeIfInDoubt();
      const answered = await b.exchange.hear(challenged ?? Buffer.alloc(0));
      const [answer] = answered.ok ? answered.value.replies : [];
      await restart();
      await quarantineAt(a);
      // The nonce of another process.
      await a.exchange.hear(answer ?? Buffer.alloc(0));
      expect((await own())?.quarantinedAt).toBeDefined();
    });

    it('are told nothing that is not theirs: no event of another ledger, and nothing for another’s question', async () => {
      await forgetPeer(b);
      const [message] = await a.exchange.challengeIfInDoubt();
      expect(message).toBeUndefined();
      const misaddressed = openExchange(a.parts, C, a.outbox, async () => []);
      expect(await b.exchange.hear(await misaddressed.ask())).toMatchObject({ ok: false, code: 'PEER_UNANNOUNCED' });
      expect(await b.exchange.hear(Buffer.from('{'))).toMatchObject({ ok: false, code: 'PEER_UNANNOUNCED' });
    });
  });
}
