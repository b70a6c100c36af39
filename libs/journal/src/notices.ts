import type { Digest, MigrationId, TrustDomain } from '@carnet/events';
import type { Store } from '@carnet/store';
import { eventsIn, type JournalDb, type Ledger, readLedger, type StoredLedger } from './ledgers.ts';
import { NOTICE_EVENTS_MAX, POLL_MS } from './limits.ts';
import type { Log } from './ports.ts';

/** A newly placed event, ours or the peer's: a hint to look. */
export type Notice = {
  readonly publisher: TrustDomain;
  readonly audience: TrustDomain;
  readonly seq: number;
  readonly digest: Digest;
  readonly type: string;
  readonly migration: MigrationId | null;
};

export type Notices = {
  /**
   * Each event of every ledger placed from now on, in its ledger's order, by any replica; possibly more than once. An empty
   * list: something else moved (the end of a quarantine, a reconnect).
   */
  readonly subscribe: (heard: (notices: readonly Notice[]) => void) => () => void;
  /** This replica has committed these, of one ledger and in order. */
  readonly committed: (notices: readonly Notice[]) => void;
  /** Tells of this ledger from now on: of what is placed after its end of now. */
  readonly follow: (ledger: Ledger) => Promise<void>;
  readonly forget: (ledger: Ledger) => void;
  readonly stop: () => Promise<void>;
};

export type NoticePorts = {
  readonly store: Store;
  readonly db: JournalDb;
  /** Unique among replicas: a replica skips its own echo. */
  readonly replica: string;
  readonly log: Log;
};

const CHANNEL = 'carnet_journal';
const nameOf = ({ publisher, audience }: Ledger): string => `${publisher} ${audience}`;

/**
 * Tells of what was placed: at once within this replica, by NOTIFY between replicas, and by one look at all ledgers every POLL_MS,
 * since notices get lost. Positions in a ledger order the looks: they are given under its head lock, so none becomes visible late.
 */
export async function openNotices(ports: NoticePorts): Promise<Notices> {
  const { store, db, replica, log } = ports;
  const ledgers = new Map<string, Ledger>();
  const subscribers = new Set<(notices: readonly Notice[]) => void>();
  const told = new Map<string, number>();
  const looking = new Map<string, Promise<void>>();
  let stopped = false;

  const tell = (notices: readonly Notice[]): void => {
    for (const heard of subscribers) heard(notices);
  };

  const look = async (ledger: Ledger): Promise<void> => {
    for (;;) {
      const from = told.get(nameOf(ledger)) ?? 0;
      const fresh = await noticesFrom(db, ledger, from);
      const last = fresh.at(-1);
      if (last === undefined || stopped) return;
      told.set(nameOf(ledger), Math.max(last.seq, told.get(nameOf(ledger)) ?? 0));
      tell(fresh);
      if (fresh.length < NOTICE_EVENTS_MAX) return;
    }
  };

  /** One look at a ledger at a time; a failed one is repeated by the next poll. */
  const lookSoon = (ledger: Ledger): void => {
    const name = nameOf(ledger);
    if (stopped || looking.has(name)) return;
    const under = look(ledger)
      .catch((cause: unknown) => log.debug({ ledger: name, cause: String(cause) }, 'could not look for new events'))
      .finally(() => looking.delete(name));
    looking.set(name, under);
  };

  const hush = await store.listen(CHANNEL, (payload) => {
    const [origin, publisher, audience] = payload.split(' ');
    if (origin === replica) return;
    for (const ledger of ledgers.values()) if (payload === '' || `${publisher} ${audience}` === nameOf(ledger)) lookSoon(ledger);
    if (payload === '') tell([]);
  });
  const quarantined = new Map<string, string | null>();
  const lookAtAll = async (): Promise<void> => {
    let moved = false;
    for (const row of await endsOfAll(db)) {
      const name = nameOf(row);
      const ledger = ledgers.get(name);
      if (ledger !== undefined && row.head_seq > (told.get(name) ?? 0)) lookSoon(ledger);
      moved ||= quarantined.has(name) && quarantined.get(name) !== row.quarantined_at;
      quarantined.set(name, row.quarantined_at);
    }
    if (moved && !stopped) tell([]);
  };
  let polling: Promise<void> | undefined;
  const poll = setInterval(() => {
    polling ??= lookAtAll()
      .catch((cause: unknown) => log.debug({ cause: String(cause) }, 'could not look at the ledgers'))
      .finally(() => {
        polling = undefined;
      });
  }, POLL_MS);
  poll.unref();
  const shout = shouter(store, replica, log);

  return {
    subscribe: (heard) => {
      subscribers.add(heard);
      return () => subscribers.delete(heard);
    },
    committed: (notices) => {
      const [first, last] = [notices[0], notices.at(-1)];
      if (first === undefined || last === undefined) return;
      const name = nameOf(first);
      // Another replica's events may lie between: the look finds them all, in order.
      if (told.get(name) !== first.seq - 1) lookSoon(first);
      else {
        told.set(name, last.seq);
        tell(notices);
      }
      shout(name);
    },
    follow: async (ledger) => {
      told.set(nameOf(ledger), (await readLedger(db, ledger)).head_seq);
      ledgers.set(nameOf(ledger), ledger);
    },
    forget: (ledger) => void ledgers.delete(nameOf(ledger)),
    stop: async () => {
      stopped = true;
      clearInterval(poll);
      subscribers.clear();
      await hush();
      await polling;
      await Promise.allSettled(looking.values());
    },
  };
}

/** At most one NOTIFY under way for each ledger: what is said meanwhile is said by one more. Told after the commit, never in it. */
function shouter(store: Store, replica: string, log: Log): (name: string) => void {
  const pending = new Map<string, 'said' | 'again'>();
  const shout = (name: string): void => {
    if (pending.has(name)) {
      pending.set(name, 'again');
      return;
    }
    pending.set(name, 'said');
    store
      .notify(CHANNEL, `${replica} ${name}`)
      .catch((cause: unknown) => log.debug({ cause: String(cause) }, 'could not notify other replicas'))
      .finally(() => {
        const again = pending.get(name) === 'again';
        pending.delete(name);
        if (again) shout(name);
      });
  };
  return shout;
}

function endsOfAll(
  db: JournalDb,
): Promise<readonly Pick<StoredLedger, 'publisher' | 'audience' | 'head_seq' | 'quarantined_at'>[]> {
  return db.selectFrom('ledgers').select(['publisher', 'audience', 'head_seq', 'quarantined_at']).execute();
}

function noticesFrom(db: JournalDb, ledger: Ledger, after: number): Promise<readonly Notice[]> {
  return eventsIn(db, ledger)
    .select(['publisher', 'audience', 'seq', 'digest', 'type', 'migration'])
    .where('seq', '>', after)
    .orderBy('seq')
    .limit(NOTICE_EVENTS_MAX)
    .execute();
}
