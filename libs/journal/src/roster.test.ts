import { eventSubject } from '@carnet/events';
import type { Store } from '@carnet/store';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Journal, openJournal } from './index.ts';
import { openRoster } from './roster.ts';
import { A, B, C, decide, journalOptions, openTestStore, refusal, removeTemporaryDirs } from './testing/world.ts';

let store: Store;
let other: Store;
beforeAll(async () => {
  [store, other] = [await openTestStore(), await openTestStore()];
}, 120_000);
afterAll(async () => {
  await Promise.all([store.close(), other.close()]);
  removeTemporaryDirs();
});

it('a roster tells once of who comes and goes, and its list changes in place', () => {
  const roster = openRoster();
  const { peers } = roster;
  const heard: unknown[] = [];
  const hush = roster.subscribe((peer, change) => heard.push([peer, change]));
  roster.add(B);
  roster.add(B);
  roster.remove(C);
  expect([peers, heard]).toEqual([[B], [[B, 'came']]]);
  roster.remove(B);
  hush();
  roster.add(C);
  expect([peers, heard.length]).toEqual([[C], 2]);
});

it('a peer is attached to a running journal, detached, and attached again where its ledgers ended', async () => {
  const { journal } = await openJournal(journalOptions(store, A, [C]));
  const b = (await openJournal(journalOptions(other, B, [A]))).journal;
  const heard: string[] = [];
  journal.subscribe((notices) => heard.push(...notices.map(({ publisher, seq }) => `${publisher} ${seq}`)));
  const { peers } = journal;
  const say = (from: Journal, to: typeof A) => from.append(to, decide(refusal()));
  const deliver = async (): Promise<readonly string[]> => {
    const told = await b.ledger({ publisher: B, audience: A });
    const results = await journal.receiveAll(
      B,
      told.map(({ envelope, placement }) => ({ envelope, subject: eventSubject(placement) })),
    );
    return results.map(({ kind }) => kind);
  };
  expect(await say(journal, B)).toMatchObject({ ok: false, code: 'PEER_UNKNOWN' });
  await say(b, A);
  await expect(deliver()).rejects.toThrow('PEER_UNCONFIGURED');

  await journal.attach(B);
  await journal.attach(B);
  expect(peers).toEqual([C, B]);
  expect(await deliver()).toEqual(['placed', 'placed']);
  expect(await say(journal, B)).toMatchObject({ ok: true });
  expect(heard).toEqual([`${B} 1`, `${B} 2`, `${A} 1`, `${A} 2`]);

  journal.detach(B);
  journal.detach(B);
  expect(peers).toEqual([C]);
  expect(await say(journal, B)).toMatchObject({ ok: false, code: 'PEER_UNKNOWN' });
  await expect(deliver()).rejects.toThrow('PEER_UNCONFIGURED');
  expect((await journal.ledger({ publisher: A, audience: B })).length).toBe(2);

  await journal.attach(B);
  expect(await say(journal, B)).toMatchObject({ ok: true });
  expect((await journal.ledger({ publisher: A, audience: B })).map(({ placement }) => placement.seq)).toEqual(['1', '2', '3']);
  await Promise.all([journal.close(), b.close()]);
});
