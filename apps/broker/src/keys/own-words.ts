import type { Timestamp, TrustDomain } from '@carnet/events';
import type { Journal, Notice, PlacedEvent } from '@carnet/journal';
import { isSameVersion, type KeyManager, type KeyRecord, type OwnWord } from '@carnet/keys';
import type { Log } from '@carnet/runtime';
import type { MigrationState } from '@carnet/saga';
import type { Store } from '@carnet/store';
import type { Signer } from '@carnet/trust';
import type { Arrivals } from './arrived.ts';

export interface OwnWordPorts {
  readonly self: TrustDomain;
  readonly journal: Pick<Journal, 'eventsOfMigrations' | 'heads' | 'keyChangesTold'>;
  readonly keys: Pick<KeyManager, 'keepWord' | 'list' | 'tellOnce' | 'wordsHome'>;
  readonly store: Store;
  /** Of this CSP's event key. */
  readonly signer: () => Signer;
  readonly log: Pick<Log, 'warn'>;
}

/**
 * What this CSP told its peers of keys, kept. A database that came back from a backup gets those events back, and not the rows that were committed with
 * them. Threat: a key that an operator has compromised or destroyed is active again, is given to hosts, and goes to further peers.
 */
export interface OwnWords {
  /** Whether what was placed is a reason to look. */
  readonly heard: (notices: readonly Notice[]) => boolean;
  /** Does to keys what the ledgers say was done to them; without a reason to look it reads nothing. */
  readonly keep: () => Promise<void>;
  /** As `keys`; what comes back from spares does so as this CSP has left it by its word since, in the same transaction. */
  readonly bringingBack: (keys: Arrivals) => Arrivals;
}

const NEWS = 'KeyStateChanged';
type Word = OwnWord & { readonly seq: number };

/** How far each own ledger was read and is kept: what is up to there has its row. Of this process; it begins anew with each. */
type Kept = Map<TrustDomain, number>;

export function openOwnWords(ports: OwnWordPorts): OwnWords {
  let kept: Kept = new Map();
  let isDue = true;
  const beginAnew = (): void => {
    kept = new Map();
    isDue = true;
  };
  return {
    heard: (notices) => {
      const own = notices.filter(({ type, publisher }) => type === NEWS && publisher === ports.self);
      // A quarantine has ended, or an event comes a second time: the database under this process is not what it was.
      if (notices.length === 0 || own.some(({ audience, seq }) => seq <= (kept.get(audience) ?? 0))) beginAnew();
      isDue ||= own.length > 0;
      return isDue;
    },
    keep: async () => {
      if (!isDue) return;
      isDue = false;
      try {
        if ((await keepAll(ports, kept)) === 'some wait') isDue = true;
      } catch (cause) {
        isDue = true;
        throw cause;
      }
    },
    bringingBack: (keys) => ({
      missing: keys.missing,
      bringBack: async (m) => {
        const prepared = await keys.bringBack(m);
        if (!prepared.ok) return prepared;
        const words = await saidSince(ports, m);
        const record: typeof prepared.value.record = async (tx) => {
          const back = await prepared.value.record(tx);
          if (!back.ok) return back;
          for (const { arrival, ...of } of back.value)
            for (const word of words.filter(({ data }) => isSameVersion(data, of)))
              await ports.keys.keepWord(tx, { ...word, arrival, signer: ports.signer() });
          beginAnew();
          return back;
        };
        return { ok: true, value: { record } };
      },
    }),
  };
}

const byTime = (a: Word, b: Word): number => (a.data.at < b.data.at ? -1 : Number(a.data.at > b.data.at));

const audiencesOf = async ({ self, journal }: OwnWordPorts): Promise<readonly TrustDomain[]> =>
  (await journal.heads()).flatMap(({ publisher, audience }) => (publisher === self ? [audience] : []));

/** One page of what a peer was told beyond a position; empty: no more. */
const wordsAfter = async ({ journal }: OwnWordPorts, peer: TrustDomain, after: number): Promise<readonly Word[]> =>
  (await journal.keyChangesTold(peer, after)).flatMap((one) => wordOf(peer, one));

const wordOf = (peer: TrustDomain, { event, digest }: PlacedEvent): readonly Word[] =>
  event?.type === NEWS ? [{ event: digest, peer, data: event.data, seq: Number(event.seq) }] : [];

/** In the order in which they were said, to whomever: each peer was told of the changes since it had the key. */
async function keepAll(ports: OwnWordPorts, kept: Kept): Promise<'all kept' | 'some wait'> {
  const ends: Kept = new Map();
  const unkept: Word[] = [];
  for (const peer of await audiencesOf(ports)) {
    for (let page = await wordsAfter(ports, peer, kept.get(peer) ?? 0); page.length > 0; ) {
      unkept.push(...(await unkeptOf(ports, page)));
      const end = page.at(-1)?.seq ?? 0;
      ends.set(peer, end);
      page = await wordsAfter(ports, peer, end);
    }
  }
  const waiting: Word[] = [];
  for (const word of unkept.toSorted(byTime)) if ((await keepOne(ports, word)) === 'waits') waiting.push(word);
  for (const [peer, end] of ends) {
    const before = waiting.filter((word) => word.peer === peer).map(({ seq }) => seq - 1);
    kept.set(peer, Math.min(end, ...before));
  }
  return waiting.length === 0 ? 'all kept' : 'some wait';
}

/** Those without a row. Those whose row says that they are owed were told: they are not said again. */
async function unkeptOf({ keys, store }: OwnWordPorts, page: readonly Word[]): Promise<readonly Word[]> {
  const home = await keys.wordsHome(page);
  for (const one of home.owed) await store.db.transaction().execute((tx) => keys.tellOnce(tx, one));
  const events = new Set(home.unkept.map(({ event }) => event));
  return page.filter(({ event }) => events.has(event));
}

async function keepOne(ports: OwnWordPorts, word: Word): Promise<'done' | 'waits'> {
  const { keys, store, log } = ports;
  const { key, to } = word.data;
  const arrival = await arrivalMeant(ports, word);
  if (arrival === undefined) return 'done';
  const kept = await store.db.transaction().execute((tx) => keys.keepWord(tx, { ...word, arrival, signer: ports.signer() }));
  if (kept === 'changed')
    log.warn(
      { peer: word.peer, key, to },
      'this database was of before a change of a key that a peer was told: it is made again',
    );
  return kept === 'waits' ? 'waits' : 'done';
}

/**
 * The holding that counted when the word was said. A key that left may have come back since: that holding the word does not mean, though it has the
 * key's name.
 */
async function arrivalMeant(ports: OwnWordPorts, { data }: Word): Promise<number | undefined> {
  const held = (await ports.keys.list({ key: data.key })).filter((one) => isSameVersion(one, data));
  for (const one of held.toSorted((a, b) => b.arrival - a.arrival)) if (await hadCome(ports, one, data.at)) return one.arrival;
  return undefined;
}

/** A row that is younger than the word was brought back: then the ledger says when the key came. One that was made here had no earlier holding. */
async function hadCome(ports: OwnWordPorts, { createdAt, arrival, provenance }: KeyRecord, at: Timestamp): Promise<boolean> {
  if (createdAt <= at || arrival === 0) return true;
  if (provenance === undefined) return false;
  const events = await ports.journal.eventsOfMigrations([provenance.migration]);
  return events.some(({ event }) => event?.type === 'KeyImported' && event.publisher === ports.self && event.time <= at);
}

async function saidSince(ports: OwnWordPorts, { facts }: MigrationState): Promise<readonly Word[]> {
  const imported = facts.KeyImported;
  if (imported === undefined) return [];
  const said: Word[] = [];
  for (const peer of await audiencesOf(ports)) {
    for (
      let page = await wordsAfter(ports, peer, 0);
      page.length > 0;
      page = await wordsAfter(ports, peer, page.at(-1)?.seq ?? 0)
    )
      said.push(...page.filter(({ data }) => data.at >= imported.time));
  }
  return said.toSorted(byTime);
}
