import type { Digest, EventOf, TrustDomain } from '@carnet/events';
import type { Journal } from '@carnet/journal';
import type { Announcement, KeyManager } from '@carnet/keys';
import type { Log } from '@carnet/runtime';
import type { Store } from '@carnet/store';
import { type Looking, lookAgain, tellInOrder } from './look-again.ts';

export interface KeyNewsPorts {
  readonly self: TrustDomain;
  readonly journal: Pick<Journal, 'append' | 'ledger' | 'peers' | 'subscribe'>;
  readonly keys: KeyManager;
  readonly store: Store;
  readonly log: Log;
}

/** Events of a peer's ledger at once. */
const PAGE = 256;
const NEWS = 'KeyStateChanged';

/**
 * Changes of keys that peers hold or held: ours are told to them, theirs are noted here. What is owed stands in the database from the change
 * on, and what was read stands beside what was noted. Several replicas may look at once; each event is appended once, under its row's lock.
 */
export function startKeyNews(ports: KeyNewsPorts): Looking {
  const { journal, self, log } = ports;
  const looking = lookAgain(
    async () => {
      await tellAll(ports);
      await hearAll(ports);
    },
    (cause) => log.warn({ err: cause }, 'key news will be looked at again'),
  );
  const hush = journal.subscribe((notices) => {
    if (notices.length === 0 || notices.some(({ type, publisher }) => type === NEWS && publisher !== self)) looking.tell();
  });
  return {
    ...looking,
    stop: () => {
      hush();
      return looking.stop();
    },
  };
}

const tellAll = async ({ journal, keys, log }: KeyNewsPorts): Promise<void> =>
  tellInOrder(
    await keys.owedAnnouncements(),
    journal.peers,
    (owed) =>
      journal.append(owed.peer, async (tx) => ({
        drafts: (await keys.tellOnce(tx.db, owed)) ? [draftOf(owed)] : [],
        value: null,
      })),
    ({ peer, data: { key } }, code) => log.warn({ peer, code, key }, 'a peer is still owed a key event'),
  );

const draftOf = ({ data }: Announcement) => ({ type: NEWS, causes: [], data }) as const;

async function hearAll(ports: KeyNewsPorts): Promise<void> {
  for (const peer of ports.journal.peers) {
    for (let more = true; more; ) more = await hearSome(ports, peer);
  }
}

/** One page of a peer's ledger; false when it was the last. */
async function hearSome({ self, journal, keys, store, log }: KeyNewsPorts, peer: TrustDomain): Promise<boolean> {
  const from = (await keys.reportsRead(peer)) + 1;
  const page = await journal.ledger({ publisher: peer, audience: self }, { from, limit: PAGE });
  const last = page.at(-1);
  if (last === undefined) return false;
  const said = page.flatMap(({ event, digest, voidCode }): readonly Said[] =>
    voidCode === undefined && event?.type === NEWS ? [{ event, digest }] : [],
  );
  await store.db.transaction().execute(async (tx) => {
    for (const { event, digest } of said) {
      const noted = await keys.noteReport(tx, { event: digest, peer, data: event.data });
      const { key, to } = event.data;
      if (!noted.ok) log.warn({ peer, key, code: noted.code }, 'a peer reported a key, and may not');
      else if (noted.value === 'noted') log.warn({ peer, key, to }, 'a peer reported the state of a key that it shared with us');
    }
    await keys.markReportsRead(tx, peer, Number(last.placement.seq));
  });
  return page.length === PAGE;
}

type Said = { readonly event: EventOf<typeof NEWS>; readonly digest: Digest };
