import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PAYLOAD_TYPES } from '@carnet/events';
import type { Store } from '@carnet/store';
import { signEnvelope } from '@carnet/trust';
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { openJournal, type StoredEvent } from '../index.ts';
import { twoJournals } from './two-journals.ts';
import {
  A,
  anyDigest,
  B,
  C,
  decide,
  emptyStore,
  eventKeyOf,
  journalOptions,
  keyChange,
  newEventKey,
  newMigration,
  refusal,
  temporaryDir,
} from './world.ts';

/** What a journal does over a store: every database that it stands on passes this. */
export function journalContract(open: () => Promise<Store>): void {
  const { journals, store, appended, ledgerOf, deliver } = twoJournals(open);

  describe('append', () => {
    it('opens a ledger with KeyAnnounced and answers one event for each draft', async () => {
      const events = await appended(journals.a, B, refusal('one'), refusal('two'));
      expect(events.map(({ placement }) => placement.seq)).toEqual(['2', '3']);
      const ledger = await ledgerOf(journals.a);
      expect(ledger.map(({ placement }) => placement.type)).toEqual(['KeyAnnounced', 'MigrationRefused', 'MigrationRefused']);
      expect(ledger.map(({ published }) => published)).toEqual(['decided', 'decided', 'decided']);
      expect(ledger[1]?.placement.prev).toBe(ledger[0]?.digest);
    });

    it('keeps ledgers of different peers apart', async () => {
      await appended(journals.a, B, refusal());
      await appended(journals.a, C, refusal());
      expect(await ledgerOf(journals.a, A, C)).toHaveLength(2);
    });

    it('answers what was told a peer of keys, oldest first and from a position on, and nothing else', async () => {
      await appended(journals.a, B, keyChange('2026-11-23T10:00:00.000Z'), refusal(), keyChange('2026-11-23T10:01:00.000Z'));
      await appended(journals.a, C, keyChange('2026-11-23T10:00:00.000Z'));
      await deliver(journals.b, A, await ledgerOf(journals.a));
      const seqs = async (after: number) =>
        (await journals.a.keyChangesTold(B, after)).map(({ event, placement: { seq } }) => [event?.type, seq]);
      expect(await seqs(0)).toEqual([
        ['KeyStateChanged', '2'],
        ['KeyStateChanged', '4'],
      ]);
      expect([await seqs(2), await seqs(4)]).toEqual([[['KeyStateChanged', '4']], []]);
      expect(await journals.b.keyChangesTold(A, 0), 'ours, not the peer’s').toEqual([]);
    });

    it('decides callers of one moment together, each on its own', async () => {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 20 }, (_, i) =>
          journals.a.append(B, async (tx) => {
            await sql`create table if not exists notes (n int8)`.execute(tx.db);
            await sql`insert into notes values (${i})`.execute(tx.db);
            if (i === 3) throw new Error('plan three fails');
            if (i === 4) return { drafts: [refusal('x', [anyDigest])], value: i };
            if (i === 5) await sql`select nonsense`.execute(tx.db);
            return { drafts: [refusal(`${i}`)], value: i };
          }),
        ),
      );
      const failed = outcomes.flatMap(({ status }, i) => (status === 'rejected' ? [i] : []));
      expect(failed).toEqual([3, 4, 5]);
      expect(outcomes[4]).toMatchObject({ reason: { code: 'DRAFT_REFUSED' } });
      const ledger = await ledgerOf(journals.a);
      expect(ledger.map(({ placement }) => Number(placement.seq))).toEqual(Array.from({ length: 18 }, (_, i) => i + 1));
      expect((await sql`select count(*) as n from notes`.execute(store(0).db)).rows).toEqual([{ n: 17 }]);
      await sql`drop table notes`.execute(store(0).db);
    });

    it('a plan without drafts decides nothing', async () => {
      const outcome = await journals.a.append(B, async () => ({ drafts: [], value: 'nothing to do' }));
      expect(outcome).toEqual({ ok: true, value: { events: [], value: 'nothing to do' } });
      expect(await ledgerOf(journals.a)).toEqual([]);
    });

    it('refuses an unknown peer', async () => {
      expect(await journals.b.append(C, decide(refusal()))).toMatchObject({ ok: false, code: 'PEER_UNKNOWN' });
    });

    it('sees inside a plan what is there, and cites it', async () => {
      const migration = newMigration();
      const [first] = await appended(journals.a, B, refusal('mine', [], migration));
      await deliver(journals.b, A, await ledgerOf(journals.a));
      const outcome = await journals.b.append(A, async (tx) => {
        const seen = await tx.eventsOfMigrations([migration]);
        return {
          drafts: [
            refusal(
              'theirs',
              seen.map(({ digest }) => digest),
              migration,
            ),
          ],
          value: await tx.hasEvent(anyDigest),
        };
      });
      expect(outcome).toMatchObject({
        ok: true,
        value: { value: false, events: [{ placement: { causes: [first?.digest] } }] },
      });
      await deliver(journals.a, B, await ledgerOf(journals.b, B, A));
      const both = await journals.a.eventsOfMigrations([migration]);
      expect(both.map(({ placement }) => placement.publisher)).toEqual([A, B]);
      expect(both.map(({ published }) => published)).toEqual(['decided', 'received']);
    });

    it('tells subscribers, in order', async () => {
      const heard: number[] = [];
      const stop = journals.a.subscribe((notices) => heard.push(...notices.map(({ seq }) => seq)));
      await appended(journals.a, B, refusal());
      await appended(journals.a, B, refusal());
      expect(heard).toEqual([1, 2, 3]);
      stop();
      await appended(journals.a, B, refusal());
      expect(heard).toEqual([1, 2, 3]);
    });

    it('tells what another replica placed, and that a quarantine began, though its notices are lost', async () => {
      const silent: Store = { ...store(0), notify: async () => undefined };
      const other = (await openJournal(journalOptions(silent, A, [B, C]))).journal;
      let heard: (readonly number[])[] = [];
      const stop = journals.a.subscribe((notices) => void heard.push(notices.map(({ seq }) => seq)));
      await appended(other, B, refusal());
      await expect.poll(() => heard.flat(), { timeout: 10_000 }).toEqual([1, 2]);
      heard = [];
      await sql`update ledgers set quarantined_at = '2026-11-28T10:00:00.000Z' where publisher = ${A}`.execute(store(0).db);
      await expect.poll(() => heard, { timeout: 10_000 }).toEqual([[]]);
      stop();
      await other.close();
    });
  });

  describe('receive', () => {
    it('places in order what came in any order, once', async () => {
      await appended(journals.a, B, refusal('1'), refusal('2'), refusal('3'));
      const ledger = await ledgerOf(journals.a);
      const shuffled = [ledger[2], ledger[0], ledger[3], ledger[1], ledger[0]].flatMap((event) => event ?? []);
      const results = await deliver(journals.b, A, shuffled);
      expect(results.map(({ kind }) => kind)).toEqual(['placed', 'placed', 'placed', 'placed', 'repeat']);
      expect((await ledgerOf(journals.b)).map(({ digest }) => digest)).toEqual(ledger.map(({ digest }) => digest));
    });

    it('keeps early events and places them when the gap closes', async () => {
      await appended(journals.a, B, refusal('1'), refusal('2'), refusal('3'));
      const [announced, one, two, three] = await ledgerOf(journals.a);
      if (!announced || !one || !two || !three) throw new Error('four events');
      await deliver(journals.b, A, [announced]);
      expect((await deliver(journals.b, A, [three]))[0]).toEqual({ kind: 'gap', expectedSeq: '2', gotSeq: '4' });
      expect((await deliver(journals.b, A, [two]))[0]).toMatchObject({ kind: 'gap' });
      expect(await ledgerOf(journals.b)).toHaveLength(1);
      await deliver(journals.b, A, [one]);
      expect(await ledgerOf(journals.b)).toHaveLength(4);
    });

    it.each([
      [
        'forged',
        'SIGNATURE_INVALID',
        (e: StoredEvent) => ({
          envelope: Buffer.from(
            Buffer.from(e.envelope)
              .toString()
              .replace(/"sig":"..../, '"sig":"AAAA'),
          ),
        }),
      ],
      [
        're-targeted',
        'SUBJECT_MISMATCH',
        (e: StoredEvent) => ({ envelope: e.envelope, subject: 'fed.csp-a_example.csp-c_example.migration.x' }),
      ],
      ['oversize', 'ENVELOPE_TOO_LARGE', () => ({ envelope: new Uint8Array(70_000) })],
      ['no JSON', 'ENVELOPE_MALFORMED', () => ({ envelope: Buffer.from('{') })],
      ['empty', 'ENVELOPE_MALFORMED', () => ({ envelope: new Uint8Array() })],
      [
        'another thing',
        'PAYLOAD_TYPE_UNEXPECTED',
        () => ({ envelope: signEnvelope(PAYLOAD_TYPES.command, Buffer.from('{}'), eventKeyOf(A)) }),
      ],
      [
        'of a stranger’s key',
        'KEY_NOT_ANNOUNCED',
        () => ({ envelope: signEnvelope(PAYLOAD_TYPES.event, Buffer.from('{}'), newEventKey()) }),
      ],
      [
        'duplicate key',
        'JSON_DUPLICATE_KEY',
        () => ({ envelope: signEnvelope(PAYLOAD_TYPES.event, Buffer.from('{"a":1,"a":2}'), eventKeyOf(A)) }),
      ],
    ])('refuses what is %s with %s, and changes nothing', async (_, code, make) => {
      await appended(journals.a, B, refusal('1'), refusal('2'));
      const [announced, one, two] = await ledgerOf(journals.a);
      if (!announced || !one || !two) throw new Error('three events');
      await deliver(journals.b, A, [announced, one]);
      const before = await journals.b.heads();
      expect(await journals.b.receive(A, make(two))).toMatchObject({ kind: 'refused', code });
      expect(await journals.b.heads()).toEqual(before);
    });

    it('refuses one publisher’s event in another’s ledger', async () => {
      await appended(journals.a, B, refusal());
      await deliver(journals.b, A, await ledgerOf(journals.a));
      await appended(journals.a, C, refusal());
      const [, foreign] = await ledgerOf(journals.a, A, C);
      if (!foreign) throw new Error('an event');
      expect(await journals.b.receive(A, { envelope: foreign.envelope })).toMatchObject({
        kind: 'refused',
        code: 'AUDIENCE_MISMATCH',
      });
    });

    it('freezes on a fork, keeps the proof, and goes on with what was begun', async () => {
      await appended(journals.a, B, refusal('1'));
      await deliver(journals.b, A, await ledgerOf(journals.a));
      await emptyStore(store(0));
      await journals.a.close();
      journals.a = (await openJournal(journalOptions(store(0), A, [B]))).journal;
      await appended(journals.a, B, refusal('another past'));
      const [, forked] = await ledgerOf(journals.a);
      if (!forked) throw new Error('an event');
      expect(await journals.b.receive(A, { envelope: forked.envelope })).toMatchObject({ kind: 'fork', seq: '2' });
      const [peer] = await journals.b.peersState();
      expect(peer).toMatchObject({
        received: { frozen: { code: 'LEDGER_FORK' } },
        own: { frozen: {} },
        proofs: [{ code: 'LEDGER_FORK', digest: forked.digest }],
      });
      expect(await journals.b.append(A, decide(refusal('still allowed')))).toMatchObject({ ok: true });
      const begin = await journals.b.append(A, async () => ({
        drafts: [{ ...refusal(), type: 'MigrationOffered' } as never],
        value: 0,
      }));
      expect(begin).toMatchObject({ ok: false, code: 'LEDGER_FROZEN' });
    });

    it('freezes on a cause that we do not have', async () => {
      const [mine] = await appended(journals.b, A, refusal('mine'));
      await deliver(journals.a, B, await ledgerOf(journals.b, B, A));
      await appended(journals.a, B, refusal('citing', mine === undefined ? [] : [mine.digest]));
      await emptyStore(store(1));
      await journals.b.close();
      journals.b = (await openJournal(journalOptions(store(1), B, [A]))).journal;
      const results = await deliver(journals.b, A, await ledgerOf(journals.a));
      expect(results.map(({ kind }) => kind)).toEqual(['placed', 'unknown-cause']);
      expect(await journals.b.peersState()).toMatchObject([{ received: { frozen: { code: 'CAUSE_UNKNOWN' } } }]);
    });
  });

  describe('what an effect relies on', () => {
    it('is durable before the caller goes on', async () => {
      const headDir = temporaryDir();
      await journals.a.close();
      journals.a = (await openJournal(journalOptions(store(0), A, [B], { headDir }))).journal;
      await appended(journals.a, B, refusal());
      await journals.a.keep(B);
      await journals.a.close();
      await sql`delete from events where seq = 2`.execute(store(0).db);
      journals.a = (await openJournal(journalOptions(store(0), A, [B], { headDir }))).journal;
      expect(await journals.a.append(B, decide(refusal()))).toMatchObject({ ok: false, code: 'LEDGER_QUARANTINED' });
    });

    it('is found missing at the next append, in a database that goes back under a running journal', async () => {
      await appended(journals.a, B, refusal());
      await journals.a.keep(B);
      const before = await ledgerOf(journals.a);
      await sql`delete from events where seq = 2`.execute(store(0).db);
      await sql`update ledgers set head_seq = 1, head_digest = (select digest from events where seq = 1) where head_seq = 2`.execute(
        store(0).db,
      );
      expect(await journals.a.append(B, decide(refusal()))).toMatchObject({ ok: false, code: 'LEDGER_QUARANTINED' });
      // Every own ledger is in that database.
      expect(await journals.a.append(C, decide(refusal()))).toMatchObject({ ok: false, code: 'LEDGER_QUARANTINED' });
      // It came back from the head file.
      expect((await ledgerOf(journals.a)).map(({ digest }) => digest)).toEqual(before.map(({ digest }) => digest));
    });
  });

  it('an unreadable head file stops the journal', async () => {
    const headDir = temporaryDir();
    writeFileSync(join(headDir, 'csp-b_example.head'), 'half a he');
    await expect(openJournal(journalOptions(store(0), A, [B], { headDir }))).rejects.toMatchObject({
      code: 'HEAD_FILE_BROKEN',
    });
  });
}
