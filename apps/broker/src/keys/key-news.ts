import type { Digest, EventOf, TrustDomain } from '@carnet/events';
import type { Journal } from '@carnet/journal';
import type { Announcement, KeyManager } from '@carnet/keys';
import type { Log } from '@carnet/runtime';
import type { Store } from '@carnet/store';

export interface KeyNewsPorts {
  readonly self: TrustDomain;
  readonly journal: Pick<Journal, 'append' | 'ledger' | 'peers' | 'subscribe'>;
  readonly keys: KeyManager;
  readonly store: Store;
  readonly log: Log;
}

/** Changes of keys that peers hold or held: ours are told to them, theirs are noted here. */
export interface KeyNews {
  /** Looks now: something is owed. */
  readonly tell: () => void;
  /** Resolves when no look is under way. */
  readonly stop: () => Promise<void>;
}

/** Events of a peer's ledger at once. */
const PAGE = 256;
/** A ledger that refused (quarantined, overloaded) is asked again after this. */
const AGAIN_MS = 30_000;
const NEWS = 'KeyStateChanged';

/**
 * What is owed stands in the database from the change on, and what was read stands beside what was noted: a crash at any point repeats a
 * look and loses nothing. Several replicas may look at once; each event is appended once, under its row's lock.
 */
export function startKeyNews(ports: KeyNewsPorts): KeyNews {
  const { journal, self, log } = ports;
  let under: Promise<void> | undefined;
  let again = false;
  let stopped = false;
  const look = (): void => {
    if (stopped) return;
    if (under !== undefined) {
      again = true;
      return;
    }
    again = false;
    under = tellAll(ports)
      .then(() => hearAll(ports))
      .catch((cause: unknown) => log.warn({ err: cause }, 'key news will be looked at again'))
      .finally(() => {
        under = undefined;
        if (again) look();
      });
  };
  const hush = journal.subscribe((notices) => {
    if (notices.length === 0 || notices.some(({ type, publisher }) => type === NEWS && publisher !== self)) look();
  });
  const timer = setInterval(look, AGAIN_MS);
  timer.unref();
  look();
  return {
    tell: look,
    stop: async () => {
      stopped = true;
      clearInterval(timer);
      hush();
      await under;
    },
  };
}

async function tellAll(ports: KeyNewsPorts): Promise<void> {
  const { journal, keys, log } = ports;
  for (const owed of await keys.owedAnnouncements()) {
    // A peer that was removed from the configuration: its ledger is none of ours any more.
    if (!journal.peers.includes(owed.peer)) continue;
    const outcome = await journal.append(owed.peer, async (tx) =>
      (await keys.tellOnce(tx.db, owed)) ? { drafts: [draftOf(owed)], value: null } : { drafts: [], value: null },
    );
    if (!outcome.ok) log.warn({ peer: owed.peer, code: outcome.code, key: owed.data.key }, 'a peer is still owed a key event');
  }
}

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
