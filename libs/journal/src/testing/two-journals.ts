import { type Draft, eventSubject } from '@carnet/events';
import type { Store } from '@carnet/store';
import { beforeEach } from 'vitest';
import { type Journal, openJournal, type StoredEvent } from '../index.ts';
import { twoStores } from './stores.ts';
import { A, B, C, decide, journalOptions } from './world.ts';

/** The journals of two CSPs, anew before each test; what each appends, and what comes of it to the other. Closed by the suite that calls this. */
export function twoJournals(open: () => Promise<Store>) {
  const journals = {} as { a: Journal; b: Journal };
  const store = twoStores(open, async () => {
    await journals.a?.close();
    await journals.b?.close();
  });

  beforeEach(async () => {
    journals.a = (await openJournal(journalOptions(store(0), A, [B, C]))).journal;
    journals.b = (await openJournal(journalOptions(store(1), B, [A]))).journal;
  });

  const appended = async (journal: Journal, audience: typeof A, ...drafts: readonly Draft[]): Promise<readonly StoredEvent[]> => {
    const outcome = await journal.append(audience, decide(...drafts));
    if (!outcome.ok) throw new Error(outcome.code);
    return outcome.value.events;
  };

  const ledgerOf = async (journal: Journal, publisher = A, audience = B): Promise<readonly StoredEvent[]> =>
    journal.ledger({ publisher, audience });
  const deliver = (to: Journal, from: typeof A, events: readonly StoredEvent[]) =>
    to.receiveAll(
      from,
      events.map(({ envelope, placement }) => ({ envelope, subject: eventSubject(placement) })),
    );

  return { journals, store, appended, ledgerOf, deliver };
}
