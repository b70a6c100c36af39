import type { Store } from '@carnet/store';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openJournal } from './index.ts';
import { A, B, decide, journalOptions, openTestStore, refusal, removeTemporaryDirs } from './testing/world.ts';

let store: Store;
beforeAll(async () => {
  store = await openTestStore();
}, 120_000);
afterAll(async () => {
  await store.close();
  removeTemporaryDirs();
});

it('a row of which one bit is another is not read as an event, and is read again when it is back', async () => {
  const { journal, parts } = await openJournal(journalOptions(store, A, [B]));
  expect((await journal.append(B, decide(refusal('one')))).ok).toBe(true);
  const ledger = { publisher: A, audience: B };
  const [last] = (await journal.ledger(ledger)).toReversed();
  if (last === undefined) throw new Error('an event was appended');
  const put = (envelope: Uint8Array) =>
    parts.db
      .updateTable('events')
      .set({ envelope: Buffer.from(envelope) })
      .where('digest', '=', last.digest)
      .execute();
  // A letter of the signature: the payload is the same, and its schema still likes it.
  const text = Buffer.from(last.envelope).toString('utf8');
  const spoilt = text.replace(/("sig":")(.)/, (_all, name: string, letter: string) => `${name}${letter === 'A' ? 'B' : 'A'}`);
  expect(spoilt).not.toBe(text);
  await put(Buffer.from(spoilt));
  await expect(journal.ledger(ledger)).rejects.toMatchObject({ code: 'LEDGER_BROKEN' });
  await put(last.envelope);
  expect((await journal.ledger(ledger)).at(-1)?.digest).toBe(last.digest);
  await journal.close();
});
