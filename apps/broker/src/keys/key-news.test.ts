import { generateKeyPairSync } from 'node:crypto';
import { digest, type Event, event, type MigrationId } from '@carnet/events';
import type { AppendTx, Notice, Plan, StoredEvent } from '@carnet/journal';
import { ed25519Signer } from '@carnet/trust';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  begin,
  digestOfData,
  inlineProcess,
  must,
  NOW,
  onKeys,
  openSide,
  released,
  retiring,
  type Side,
  type Story,
  someDigest,
  within,
} from '../../../../libs/keys/src/testing.ts';
import { type KeyNewsPorts, startKeyNews } from './key-news.ts';
import { type OwnWordPorts, openOwnWords } from './own-words.ts';

const A = 'csp-a.example';
const B = 'csp-b.example';
const signer = ed25519Signer(generateKeyPairSync('ed25519').privateKey);
type Peer = KeyNewsPorts['self'];
type How = 'appends' | 'refuses' | 'dies before the commit' | 'commits and dies';

let a: Side;
let b: Side;
let story: Story;
beforeAll(async () => {
  [a, b] = await Promise.all([openSide({ process: inlineProcess() }), openSide({ process: inlineProcess() })]);
}, 60_000);
afterAll(async () => {
  await a.close();
  await b.close();
});

/** A key that A gave to B and then found compromised: B is owed one event. */
beforeEach(async () => {
  story = await begin(a, b);
  await released(a, b, story);
  must(await within(a, (tx) => a.keys.retire(tx, retiring(story))));
  const { key, version } = diskOf(story);
  const change = { key, version, verb: 'compromise', principal: 'eve', reason: 'lost', code: 'key-compromise', signer } as const;
  must(await within(a, (tx) => a.keys.operate(tx, change)));
});

const diskOf = ({ keys }: Story) => {
  const [disk] = keys;
  if (disk === undefined) throw new Error('no disk');
  return disk;
};

/** A's ledger to B, which does what it is told; and what a peer's ledger to us holds. */
function world(
  side: Side,
  self: string,
  script: readonly How[],
  heard: readonly StoredEvent[] = [],
  ledgers: { of?: readonly StoredEvent[]; own?: readonly StoredEvent[]; quarantined?: boolean } = {},
  ownWords?: KeyNewsPorts['own'],
) {
  const appended: object[] = [];
  const listeners = new Set<(notices: readonly Notice[]) => void>();
  const left = [...script];
  const lines: string[] = [];
  const journal = {
    peers: [self === A ? B : A],
    subscribe: (listener: (notices: readonly Notice[]) => void) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    eventsOfMigrations: async () => ledgers.of ?? [],
    heads: async () => [
      { publisher: self, audience: self === A ? B : A, ...(ledgers.quarantined === true ? { quarantinedAt: NOW } : {}) },
    ],
    keyChangesTold: async (_: unknown, after: number) => (after === 0 ? (ledgers.own ?? []) : []),
    ledger: async (_: unknown, { from = 1 }: { readonly from?: number } = {}) => heard.slice(from - 1),
    append: async (_: unknown, plan: Plan<null>) => {
      const how = left.shift() ?? 'appends';
      if (how === 'refuses') return { ok: false, code: 'LEDGER_QUARANTINED', text: 'wait' };
      const drafts = await side.store.db.transaction().execute(async (tx) => {
        const decided = await plan({ db: tx } as AppendTx);
        if (how === 'dies before the commit') throw new Error('killed');
        return decided.drafts;
      });
      appended.push(...drafts.filter((draft) => 'data' in draft && 'key' in draft.data && draft.data.key === diskOf(story).key));
      if (how === 'commits and dies') throw new Error('killed');
      return { ok: true, value: { events: [], value: null } };
    },
  } as unknown as KeyNewsPorts['journal'] & OwnWordPorts['journal'];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  const ports = { self: self as Peer, journal, keys: side.keys, store: side.store, log };
  const start = () => startKeyNews({ ...ports, own: ownWords ?? openOwnWords({ ...ports, signer: () => signer }) });
  return {
    start,
    appended,
    lines,
    wake: (notices: readonly Notice[] = []) => listeners.forEach((listener) => void listener(notices)),
  };
}

const owed = async () => (await a.keys.owedAnnouncements()).filter(({ data }) => data.key === diskOf(story).key);
const until = (seen: () => Promise<boolean>) => vi.waitUntil(seen, { timeout: 30_000, interval: 50 });

describe('what a peer is owed', () => {
  it.each<[string, readonly How[]]>([
    ['told at once', ['appends']],
    ['not told, and the ledger says so', ['refuses', 'appends']],
    ['not told: killed before the commit', ['dies before the commit', 'appends']],
    ['told, but killed before it could know', ['commits and dies']],
  ])('%s: in the end it stands in the ledger once', async (_name, script) => {
    const { start, appended, wake } = world(a, A, script);
    const news = start();
    await until(async () => {
      wake();
      return appended.length > 0 && (await owed()).length === 0;
    });
    await news.stop();
    const again = start();
    await again.stop();
    const { migration } = story.handover;
    expect(appended).toMatchObject([{ type: 'KeyStateChanged', data: { migration, to: 'destroyed-compromised' } }]);
    expect(appended).toHaveLength(1);
  });

  it('is told in its order: after a refusal nothing later goes to that peer in the same look', async () => {
    const { key, version } = diskOf(story);
    const told: object[] = [];
    const left: How[] = ['refuses'];
    const owes = [1, 2].map((n) => ({ peer: B, line: String(n), data: { key, version, n } }));
    const keys = {
      owedAnnouncements: async () => owes.filter((one) => !told.includes(one.data)),
      tellOnce: async () => true,
      reportsRead: async () => 0,
    } as unknown as KeyNewsPorts['keys'];
    const quiet = { peers: [B], subscribe: () => () => undefined, ledger: async () => [] };
    const append = async (_: unknown, plan: Plan<null>) => {
      if (left.shift() === 'refuses') return { ok: false, code: 'LEDGER_QUARANTINED', text: 'wait' };
      const { drafts } = await plan({ db: {} } as AppendTx);
      told.push(...drafts.map((draft) => ('data' in draft ? draft.data : draft)));
      return { ok: true, value: { events: [], value: null } };
    };
    const log = pino({ level: 'silent' });
    const look = async () => {
      const ports = { self: A as Peer, journal: { ...quiet, append } as unknown as KeyNewsPorts['journal'], keys };
      const own = { heard: () => false, keep: async () => undefined };
      await startKeyNews({ ...ports, store: a.store, own, log }).stop();
    };
    await look();
    expect(told).toEqual([]);
    await look();
    expect(told).toEqual(owes.map(({ data }) => data));
  });

  it('is told once by two replicas that look at the same moment', async () => {
    const { start, appended } = world(a, A, []);
    const both = [start(), start()];
    await until(async () => (await owed()).length === 0);
    for (const news of both) await news.stop();
    expect(appended).toHaveLength(1);
  });
});

describe('what a peer was told before this database was restored', () => {
  it('is done again with the first look, and is not told again', async () => {
    const [owes] = await owed();
    if (owes === undefined) throw new Error('nothing owed');
    const db = onKeys(a.store.db);
    await db.deleteFrom('keys_announcements').where('line', '=', owes.line).execute();
    await db.deleteFrom('keys_history').where('digest', '=', owes.line).execute();
    await db.updateTable('keys_holdings').set({ state: 'destroyed' }).where('key', '=', owes.data.key).execute();
    const told = event.parse({ ...reportOf(owes.data.migration), seq: '2', data: owes.data });
    const { start, appended } = world(a, A, [], [], { own: [stored(told)] });
    await start().stop();
    expect(must(await a.keys.show(diskOf(story))).state).toBe('destroyed-compromised');
    expect(appended).toEqual([]);
  });

  it('is looked for when it comes home later', async () => {
    const looks: string[] = [];
    const home = world(a, A, [], [], {}, { heard: () => true, keep: async () => void looks.push('own') });
    const news = home.start();
    await until(async () => looks.length === 1);
    home.wake([{ publisher: A, audience: B, type: 'KeyStateChanged' } as Notice]);
    await until(async () => looks.length === 2);
    await news.stop();
  });
});

const reportOf = (migration: MigrationId, over: object = {}): Event =>
  event.parse({
    id: '01936ad4-0000-7000-8000-000000000001',
    v: 1,
    publisher: A,
    audience: B,
    seq: '1',
    prev: someDigest(),
    causes: [],
    time: '2026-11-23T10:00:00.000Z',
    type: 'KeyStateChanged',
    data: {
      key: diskOf(story).key,
      version: 1,
      migration,
      from: 'destroyed',
      to: 'destroyed-compromised',
      reason: 'key-compromise',
      at: '2026-11-23T10:00:00.000Z',
      ...over,
    },
  });
const stored = (said: Event, more: object = {}): StoredEvent =>
  ({ event: said, digest: digest.parse(someDigest()), placement: said, ...more }) as unknown as StoredEvent;

describe('what a peer says', () => {
  it('is noted once, however often it is looked at; a void event and another’s key are not', async () => {
    const { migration } = story.handover;
    const good = stored(reportOf(migration));
    const place = (seq: string) => ({ placement: { ...good.placement, seq } });
    const ledger = [
      good,
      stored(reportOf(migration), { voidCode: 'SCHEMA_INVALID', ...place('2') }),
      stored(reportOf(migration, { key: '99999999-9999-4999-8999-999999999999' }), place('3')),
    ];
    // The position that earlier tests left is the ledger's own: here the ledger begins anew.
    await within(b, async (tx) => {
      await b.keys.markReportsRead(tx, A as Peer, 0);
      return { ok: true, value: null };
    });
    const { start, lines } = world(b, B, [], ledger);
    const news = start();
    await until(async () => (await b.keys.reportsRead(A as Peer)) === 3);
    await news.stop();
    await start().stop();
    const view = must(await b.keys.show(diskOf(story)));
    expect(view.state).toBe('pre-activation');
    expect(view.reports.map(({ event: of }) => of)).toEqual([good.digest]);
    expect(lines.filter((line) => line.includes('KEY_NOT_SHARED'))).toHaveLength(1);
  });
});

describe('what a peer says of a key, to a database of before it came', () => {
  let report: StoredEvent;
  let deposit: StoredEvent;
  let acknowledged: StoredEvent;
  const of = (type: string, publisher: string, data: object) => {
    const { migration, epoch } = story.handover;
    const said = { publisher, audience: publisher === A ? B : A, type, migration, epoch, data };
    return { event: said, placement: said, digest: digestOfData(data) } as unknown as StoredEvent;
  };
  const read = () => b.keys.reportsRead(A as Peer);
  const reports = async () => must(await b.keys.show(diskOf(story))).reports.map(({ event: from }) => from);

  beforeEach(async () => {
    const { migration } = story.handover;
    report = stored(reportOf(migration));
    deposit = of('KeyDeposited', A, { keys: [diskOf(story)] });
    acknowledged = of('DepositAcknowledged', B, { deposit: deposit.digest });
    await within(b, async (tx) => {
      await b.keys.markReportsRead(tx, A as Peer, 0);
      return { ok: true, value: null };
    });
    await onKeys(b.store.db).deleteFrom('keys_handovers').where('migration', '=', migration).execute();
  });

  it('is noted by what the ledgers say of the migration that it names', async () => {
    await world(b, B, [], [report], { of: [deposit, acknowledged], quarantined: true })
      .start()
      .stop();
    expect([await reports(), await read()]).toEqual([[report.digest], 1]);
  });

  it('waits, with all after it, while our own events come home, and is noted when they are here', async () => {
    const other = stored(reportOf(story.handover.migration, { key: '99999999-9999-4999-8999-999999999999' }));
    const later = { ...other, placement: { ...other.placement, seq: '2' } } as StoredEvent;
    const home = { of: [deposit], quarantined: true };
    const { start, lines } = world(b, B, [], [report, later], home);
    await start().stop();
    expect([await reports(), await read(), lines]).toEqual([[], 0, []]);
    Object.assign(home, { of: [deposit, acknowledged], quarantined: false });
    await start().stop();
    expect([await reports(), await read()]).toEqual([[report.digest], 2]);
    expect(lines.filter((line) => line.includes('KEY_NOT_SHARED'))).toHaveLength(1);
  });

  it.each<[string, () => readonly StoredEvent[]]>([
    ['names a migration without a deposit', () => [acknowledged]],
    ['deposited what we did not take', () => [deposit]],
    ['deposited another key', () => [of('KeyDeposited', A, { keys: story.keys.slice(1) }), acknowledged]],
    [
      'names the migration of another pair',
      () => [{ ...deposit, event: { ...deposit.event, publisher: 'csp-c.example' } } as StoredEvent, acknowledged],
    ],
  ])('a peer that %s is refused', async (_name, events) => {
    const { start, lines } = world(b, B, [], [report], { of: events() });
    await start().stop();
    expect([await reports(), await read()]).toEqual([[], 1]);
    expect(lines.filter((line) => line.includes('KEY_NOT_SHARED'))).toHaveLength(1);
  });
});
