import type { Digest, EventOf, TrustDomain } from '@carnet/events';
import type { Journal } from '@carnet/journal';
import type { Announcement, HandedOver, KeyManager } from '@carnet/keys';
import type { Log } from '@carnet/runtime';
import type { Store } from '@carnet/store';
import { isBehind } from '../ledgers.ts';
import { handedOverByLedger } from './handed-over.ts';
import { type Looking, lookAgain, tellInOrder } from './look-again.ts';
import type { OwnWords } from './own-words.ts';

export interface KeyNewsPorts {
  readonly self: TrustDomain;
  readonly journal: Pick<Journal, 'append' | 'eventsOfMigrations' | 'heads' | 'ledger' | 'peers' | 'subscribe'>;
  readonly keys: KeyManager;
  readonly store: Store;
  readonly own: Pick<OwnWords, 'heard' | 'keep'>;
  readonly log: Log;
}

/** Events of a peer's ledger at once. */
const PAGE = 256;
const NEWS = 'KeyStateChanged';

/**
 * Changes of keys that peers hold or held: ours are told to them, theirs are noted here. What is owed stands in the database from the change
 * on, and what was read stands beside what was noted. Several replicas may look at once; each event is appended once, under its row's lock.
 * What we told before a restore is looked for first: what it already said is not owed any more.
 */
export function startKeyNews(ports: KeyNewsPorts): Looking {
  const { journal, self, own, log } = ports;
  const looking = lookAgain(
    async () => {
      await own.keep();
      await tellAll(ports);
      await hearAll(ports);
    },
    (cause) => log.warn({ err: cause }, 'key news will be looked at again'),
  );
  const hush = journal.subscribe((notices) => {
    const isOurs = own.heard(notices);
    if (isOurs || notices.length === 0 || notices.some(({ type, publisher }) => type === NEWS && publisher !== self))
      looking.tell();
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

/** One page of a peer's ledger; false when it was the last, or the rest has to wait. */
async function hearSome(ports: KeyNewsPorts, peer: TrustDomain): Promise<boolean> {
  const { self, journal, keys, store, log } = ports;
  const from = (await keys.reportsRead(peer)) + 1;
  const page = await journal.ledger({ publisher: peer, audience: self }, { from, limit: PAGE });
  const last = page.at(-1);
  if (last === undefined) return false;
  const said = page.flatMap(({ event, digest, voidCode }): readonly Said[] =>
    voidCode === undefined && event?.type === NEWS ? [{ event, digest }] : [],
  );
  const { judged, waitsAt } = await judgeAll(ports, peer, said);
  await store.db.transaction().execute(async (tx) => {
    for (const { event, digest, ...byLedger } of judged) {
      const noted = await keys.noteReport(tx, { event: digest, peer, data: event.data, ...byLedger });
      const { key, to } = event.data;
      if (!noted.ok) log.warn({ peer, key, code: noted.code }, 'a peer reported a key, and may not');
      else if (noted.value === 'noted') log.warn({ peer, key, to }, 'a peer reported the state of a key that it shared with us');
    }
    await keys.markReportsRead(tx, peer, waitsAt === undefined ? Number(last.placement.seq) : waitsAt - 1);
  });
  return waitsAt === undefined && page.length === PAGE;
}

type Said = { readonly event: EventOf<typeof NEWS>; readonly digest: Digest };
type Judged = Said & { readonly byLedger?: HandedOver };

/**
 * What is said of keys that no row says were shared is judged by the ledger: a database that came back from a backup may have lost the row.
 * Threat: an alarm that is refused, and read, before the events that bear it out have come home is lost for good. So what cannot be borne out
 * while our own ledger waits for its events, and all after it, is read later.
 */
async function judgeAll(
  ports: KeyNewsPorts,
  peer: TrustDomain,
  said: readonly Said[],
): Promise<{ readonly judged: readonly Judged[]; readonly waitsAt?: number }> {
  const judged: Judged[] = [];
  for (const one of said) {
    const { data, seq } = one.event;
    if (await ports.keys.isShared({ peer, data })) {
      judged.push(one);
      continue;
    }
    // Asked before the ledger is read: what comes home in between is then waited for.
    const isComingHome = await isBehind(ports.journal, [peer]);
    const byLedger = await handedOverByLedger(ports, peer, data);
    if (byLedger === undefined && isComingHome) return { judged, waitsAt: Number(seq) };
    judged.push({ ...one, ...(byLedger === undefined ? {} : { byLedger }) });
  }
  return { judged };
}
