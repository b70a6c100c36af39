import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Store } from '@carnet/store';
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { openHeadFile } from '../head-file.ts';
import { ALL, digestsOf, twoSides } from './two-sides.ts';
import { A, anyDigest, B, C, decide, type memoryLog, refusal, temporaryDir } from './world.ts';

/** What was told is never contradicted, whatever becomes of the database: every database that a journal stands on passes this. */
export function keptContract(open: () => Promise<Store>): void {
  const { sides, openSide, say, ledgerOf, told, hear, restore, restart, challenge, own, appendCode, withoutC } = twoSides(open);
  const forget = (seqs: readonly number[]) => {
    const path = join(sides.a.headDir, 'csp-b_example.head');
    const lines = readFileSync(path, 'utf8').split('\n');
    const isOf = (line: string): boolean =>
      line.startsWith('{"payloadType"') &&
      seqs.includes(Number(JSON.parse(Buffer.from(JSON.parse(line).payload, 'base64').toString()).seq));
    writeFileSync(path, lines.filter((line) => !isOf(line)).join('\n'));
  };

  describe('events that were told, and that the database has lost,', () => {
    it('come back from our own files at once; nothing is appended before the peer has answered; no position is used twice', async () => {
      await say(sides.a, 'withheld', 'withheld too');
      const before = await told(sides.a);
      await restore(2);
      await restart();
      expect(digestsOf(await ledgerOf(sides.a))).toEqual(digestsOf(before));
      expect(await appendCode()).toBe('LEDGER_QUARANTINED');
      expect(await sides.a.outbox.after(0, ALL)).toEqual([]);
      await challenge();
      await withoutC();
      const [next] = await say(sides.a, 'goes on');
      expect(next?.placement).toMatchObject({ seq: '5', prev: before.at(-1)?.digest });
      // What the bus withheld comes after what followed it, and twice.
      const results = await hear(sides.b, [...(await told(sides.a)).slice(4), ...before.slice(2), ...before]);
      expect(results.map(({ kind }) => kind)).toEqual(['placed', 'placed', 'placed', 'repeat', 'repeat', 'repeat', 'repeat']);
      expect(await sides.b.journal.peersState()).toMatchObject([{ proofs: [] }, { proofs: [] }]);
    });

    it('wait for peers of now: who was removed is not asked, and is asked once it is a peer again', async () => {
      await say(sides.a, 'withheld');
      await told(sides.a);
      await restore(2);
      await restart();
      await challenge();
      expect([await appendCode(), await sides.a.outbox.after(0, ALL)]).toEqual(['LEDGER_QUARANTINED', []]);
      sides.a.journal.detach(C);
      expect(await appendCode()).toBe('appended');
      expect(await sides.a.outbox.after(0, ALL)).toHaveLength(4);
      await sides.a.journal.attach(C);
      expect([await appendCode(), await sides.a.outbox.after(4, ALL)]).toEqual(['LEDGER_QUARANTINED', []]);
    });

    it('come back if an effect was to rely on them, told or not; what nobody relied on does not', async () => {
      const [first, second, third] = await say(sides.a, 'relied on', 'relied on too', 'nobody knew');
      if (first === undefined || second === undefined || third === undefined) throw new Error('three events');
      const own = digestsOf(await ledgerOf(sides.a)).slice(0, 2);
      await sides.a.journal.keep(B, { own: { seq: Number(first.placement.seq), digest: first.digest }, received: undefined });
      await restore(2);
      await restart();
      expect(digestsOf(await ledgerOf(sides.a))).toEqual([...own, first.digest]);
      expect(await appendCode()).toBe('LEDGER_QUARANTINED');
      // A second one in its place would be signed by nobody.
      await challenge();
      await withoutC();
      const [next] = await say(sides.a, 'goes on');
      expect(next?.placement).toMatchObject({ seq: '4', prev: first.digest });
    });

    it('are kept up to where the ledger ends now, for all that is there; for a stranger there is nothing', async () => {
      const said = await say(sides.a, 'relied on', 'relied on too');
      const before = await ledgerOf(sides.a);
      await sides.a.journal.keep(B);
      await sides.a.journal.keep(B);
      await sides.a.journal.keep(C);
      await restore(2);
      await restart();
      expect(digestsOf(await ledgerOf(sides.a))).toEqual(digestsOf(before));
      expect(before.at(-1)?.digest).toBe(said.at(-1)?.digest);
      // Of somebody who is no peer there is nothing to keep.
      await sides.a.journal.keep(A);
    });

    it('of the peer, on which effects relied: quarantine until they are here again, and nothing is decided without them', async () => {
      const [, last] = await say(sides.b, 'heard', 'and acted upon');
      if (last === undefined) throw new Error('two events');
      await hear(sides.a, await told(sides.b));
      await sides.a.journal.keep(B, { own: undefined, received: { seq: Number(last.placement.seq), digest: last.digest } });
      const { db } = sides.a.parts.options.store;
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
      await hear(sides.a, await told(sides.b));
      await challenge();
      await withoutC();
      expect(await appendCode()).toBe('appended');
    });

    it('come back under a running process, when it is found behind', async () => {
      await say(sides.a, 'withheld');
      const before = await told(sides.a);
      await restore(2);
      expect(await appendCode()).toBe('LEDGER_QUARANTINED');
      expect(digestsOf(await ledgerOf(sides.a))).toEqual(digestsOf(before));
    });

    it('come back from our stream on the bus, if our files were of the time before they held events', async () => {
      await say(sides.a, 'withheld', 'withheld too');
      const before = await told(sides.a);
      forget([1, 2, 3, 4]);
      await restore(2);
      await restart();
      sides.onBus = before;
      await challenge();
      expect(digestsOf(await ledgerOf(sides.a))).toEqual(digestsOf(before));
      expect((await own())?.quarantinedAt).toBeUndefined();
    });

    it('and that are nowhere, stop the ledger for good: nothing is appended, and the code says what is to be done', async () => {
      await say(sides.a, 'withheld', 'withheld too');
      const before = await told(sides.a);
      forget([3]);
      await restore(2);
      await restart();
      await challenge();
      const heads = await sides.a.journal.heads();
      expect(await own()).toMatchObject({ lostSeq: 4, head: { seq: '2' } });
      expect(await appendCode()).toBe('LEDGER_EVENTS_LOST');
      expect(await sides.a.journal.append(C, decide(refusal()))).toMatchObject({ ok: false, code: 'LEDGER_EVENTS_LOST' });
      expect(await sides.a.outbox.after(0, ALL)).toEqual([]);
      expect(await sides.a.journal.heads()).toEqual(heads);
      // It is said once, however often it is found.
      await challenge();
      const said = sides.a.parts.options.log as ReturnType<typeof memoryLog>;
      expect(said.said.filter(({ fields }) => 'code' in fields && fields.code === 'LEDGER_EVENTS_LOST')).toHaveLength(1);
      // Somebody finds it: here the bus.
      sides.onBus = before;
      await challenge();
      expect(digestsOf(await ledgerOf(sides.a))).toEqual(digestsOf(before));
      expect((await own())?.lostSeq).toBeUndefined();
      await withoutC();
      expect(await appendCode()).toBe('appended');
    });

    it('come back from the files of another replica, whose folder is brought', async () => {
      await say(sides.a, 'withheld');
      const before = await told(sides.a);
      const folder = sides.a.headDir;
      await restore(2);
      await restart(temporaryDir());
      expect(await ledgerOf(sides.a)).toHaveLength(2);
      await restart(folder);
      expect(digestsOf(await ledgerOf(sides.a))).toEqual(digestsOf(before));
      expect(await appendCode()).toBe('LEDGER_QUARANTINED');
    });
  });

  it('what was relied on before it was told comes back, and is told once the quarantine is over', async () => {
    const said = await say(sides.a, 'relied on');
    await sides.a.journal.keep(B);
    await restore(2);
    await restart();
    expect(await sides.a.outbox.after(2, ALL)).toEqual([]);
    await challenge();
    await withoutC();
    expect(digestsOf(await sides.a.outbox.after(2, ALL))).toEqual(digestsOf(said));
  });

  it('a replica that takes over keeps what another has told and the peer has not acknowledged', async () => {
    await say(sides.a, 'told by the other one');
    await told(sides.a);
    const other = await openSide(A, temporaryDir());
    await say(other, 'told by this one');
    await other.outbox.after(3, ALL);
    const kept = await (await openHeadFile(other.headDir, B)).read();
    expect(kept.events.map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
    await other.journal.close();
  });

  it('a row that is damaged is not told, nor one that contradicts what was kept', async () => {
    await told(sides.a);
    await say(sides.a, 'damaged');
    const { db } = sides.a.parts.options.store;
    await sql`update events set envelope = (select envelope from events where publisher = ${A} and audience = ${B} and seq = 2)
      where publisher = ${A} and audience = ${B} and seq = 3`.execute(db);
    await expect(sides.a.outbox.after(2, ALL)).rejects.toMatchObject({ code: 'LEDGER_BROKEN' });
    expect((await (await openHeadFile(sides.a.headDir, B)).read()).events).toHaveLength(2);
  });

  it('a head that is damaged is not signed, nor kept as the end of what was told', async () => {
    await told(sides.a);
    await say(sides.a, 'the last');
    const { db } = sides.a.parts.options.store;
    await sql`update ledgers set head_digest = ${anyDigest} where publisher = ${A} and audience = ${B}`.execute(db);
    await expect(sides.a.outbox.tellableHead()).rejects.toMatchObject({ code: 'LEDGER_BROKEN' });
    await expect(sides.a.journal.keep(B)).rejects.toMatchObject({ code: 'LEDGER_BROKEN' });
    expect((await (await openHeadFile(sides.a.headDir, B)).read()).told?.seq).toBe('2');
  });
}
