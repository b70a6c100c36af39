import type { Store } from '@carnet/store';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { receiveResent } from './homecoming.ts';
import { openJournal } from './index.ts';
import { OPEN } from './testing/open-intake.ts';
import { A, B, decide, emptyStore, journalOptions, openTestStore, refusal, removeTemporaryDirs } from './testing/world.ts';

let stores: readonly [Store, Store];
beforeAll(async () => {
  stores = [await openTestStore(), await openTestStore()];
}, 120_000);
afterAll(async () => {
  await Promise.all(stores.map((store) => store.close()));
  removeTemporaryDirs();
});

it('a restored side that held its peer for a liar keeps no proof of it once its own events are back', async () => {
  const [a, b] = [
    await openJournal(journalOptions(stores[0], A, [B])),
    await openJournal(journalOptions(stores[1], B, [A])),
  ] as const;
  const ours = async () => (await b.journal.ledger({ publisher: B, audience: A })).map(({ envelope }) => envelope);
  const theirs = async () => (await a.journal.ledger({ publisher: A, audience: B })).map(({ envelope }) => envelope);
  const mine = await b.journal.append(A, decide(refusal('mine')));
  if (!mine.ok) throw new Error(mine.code);
  await receiveResent(a.parts, B, await ours(), OPEN);
  const cited = mine.value.events.map(({ digest }) => digest);
  expect(await a.journal.append(B, decide(refusal('citing', cited)))).toMatchObject({ ok: true });
  const lost = await ours();
  await b.journal.close();
  await emptyStore(stores[1]);

  const { journal, parts } = await openJournal(journalOptions(stores[1], B, [A]));
  const proofs = async () => (await journal.peersState()).flatMap((peer) => peer.proofs.map(({ code }) => code));
  await receiveResent(parts, A, await theirs(), OPEN);
  expect(await proofs()).toEqual(['CAUSE_UNKNOWN']);
  await receiveResent(parts, A, lost, OPEN);
  expect(await proofs()).toEqual([]);
  expect((await journal.peersState())[0]?.received.frozen).toBeUndefined();
  expect(await journal.ledger({ publisher: A, audience: B })).toHaveLength((await theirs()).length);
  await a.journal.close();
  await journal.close();
});
