import { rmSync } from 'node:fs';
import { type Digest, eventSubject, type HeadPosition, PAYLOAD_TYPES } from '@carnet/events';
import { accept, positionOf, refuse, seqOf } from '@carnet/trust';
import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import { type Exchange, openExchange } from '../exchange.ts';
import type { HeadFile } from '../head-file.ts';
import { receiveResent } from '../homecoming.ts';
import { type Journal, type JournalParts, openJournal } from '../journal.ts';
import { openOutbox } from '../outbox.ts';
import { OPEN } from '../testing/open-intake.ts';
import { twoStores } from '../testing/stores.ts';
import {
  A,
  anyDigest,
  B,
  C,
  decide,
  emptyStore,
  journalOptions,
  memoryLog,
  NOTHING_AROUND,
  openTestStore,
  refusal,
  temporaryDir,
} from '../testing/world.ts';
import { type ExportPart, type ImportOptions, importLedgers } from './import.ts';

type Side = { readonly journal: Journal; readonly parts: JournalParts; readonly exchange: Exchange };
type Line = Parameters<typeof importLedgers>[1] extends AsyncIterable<infer L> ? L : never;

const sides = new Map<typeof A, Side>();
const store = twoStores(openTestStore, async () => {
  for (const { journal } of sides.values()) await journal.close();
  sides.clear();
});
const storeOf = (self: typeof A) => store(self === A ? 0 : 1);
const side = (self: typeof A): Side => {
  const open = sides.get(self);
  if (open === undefined) throw new Error(`${self} is closed`);
  return open;
};

async function open(self: typeof A, headDir: string): Promise<void> {
  const peer = peerOf(self);
  const { journal, parts } = await openJournal(journalOptions(storeOf(self), self, [peer], { headDir }));
  const file = parts.headFiles.get(peer);
  if (file === undefined) throw new Error('no head file');
  sides.set(self, {
    journal,
    parts,
    exchange: openExchange(parts, peer, openOutbox(parts, peer, file), NOTHING_AROUND),
  });
}

const ledgers = [
  { publisher: A, audience: B },
  { publisher: B, audience: A },
] as const;

async function say(self: typeof A, reason: string, causes: readonly Digest[] = []): Promise<Digest> {
  const outcome = await side(self).journal.append(peerOf(self), decide(refusal(reason, causes)));
  const [said] = outcome.ok ? outcome.value.events.slice(-1) : [];
  if (said === undefined) throw new Error('nothing was said');
  return said.digest;
}

const peerOf = (self: typeof A) => (self === A ? B : A);

/** As the channel between two peers: envelopes are placed, messages are heard, and what they bring about goes back. */
async function deliver(to: typeof A, messages: readonly Uint8Array[]): Promise<void> {
  const { exchange, parts } = side(to);
  for (const message of messages)
    if (Buffer.from(message).toString().startsWith(`{"payloadType":"${PAYLOAD_TYPES.event}"`))
      await receiveResent(parts, peerOf(to), [message], OPEN);
    else {
      const heard = await exchange.hear(message);
      if (heard.ok) await deliver(peerOf(to), heard.value.replies);
    }
}

/** All that one side has said reaches the other by the bus, and both compare what they hold. */
async function tell(from: typeof A): Promise<void> {
  const to = peerOf(from);
  const said = await side(from).journal.ledger({ publisher: from, audience: to });
  await side(to).journal.receiveAll(
    from,
    said.map(({ envelope, placement }) => ({ envelope, subject: eventSubject(placement) })),
  );
  await compare(from);
}

async function compare(from: typeof A): Promise<void> {
  const { exchange } = side(from);
  await deliver(peerOf(from), await exchange.head());
  await deliver(peerOf(from), await exchange.challengeIfInDoubt());
  await deliver(peerOf(from), [await exchange.ask()]);
  await deliver(peerOf(from), await exchange.checkpoint());
}

let headDir: string;
let exported: readonly Line[];

/** As a broker exports: own ledger, the peer's, checkpoints. */
async function exportOf(self: typeof A): Promise<readonly Line[]> {
  const { journal } = side(self);
  const peer = peerOf(self);
  const parts: ExportPart[] = [{ kind: 'header', self }];
  for (const ledger of [
    { publisher: self, audience: peer },
    { publisher: peer, audience: self },
  ])
    for (const { envelope } of await journal.ledger(ledger)) parts.push({ kind: 'event', ...ledger, envelope });
  for (const { note } of await journal.checkpoints()) parts.push({ kind: 'checkpoint', note });
  return parts.map(accept);
}

beforeEach(async () => {
  headDir = temporaryDir();
  await open(A, headDir);
  await open(B, temporaryDir());
  const first = await say(A, 'one');
  await tell(A);
  const answer = await say(B, 'two', [first]);
  await tell(B);
  await say(A, 'three', [answer]);
  await tell(A);
  await tell(B);
  await tell(A);
  exported = await exportOf(A);
});

async function loseDatabase(): Promise<void> {
  await side(A).journal.close();
  sides.delete(A);
  await emptyStore(storeOf(A));
}

async function* lines(of: readonly Line[]): AsyncGenerator<Line> {
  yield* of;
}

const bringIn = (of: readonly Line[], over: Partial<ImportOptions> = {}) =>
  importLedgers(
    { ...journalOptions(storeOf(A), A, [B], { headDir }), log: memoryLog(), acceptBehind: false, ...over },
    lines(of),
  );

const rowsOf = async (table: string): Promise<readonly object[]> =>
  (await sql<object>`select * from ${sql.table(table)} order by 1, 2`.execute(storeOf(A).db)).rows;
const everything = async (): Promise<string> =>
  JSON.stringify(await Promise.all(['events', 'ledgers', 'peers', 'proofs', 'checkpoints'].map(rowsOf)));
const digests = async (): Promise<readonly object[]> =>
  (await sql<object>`select publisher, seq, digest, void_code from events order by publisher, seq`.execute(storeOf(A).db)).rows;

const isEvent = (publisher: typeof A) => (line: Line) =>
  line.ok && line.value.kind === 'event' && line.value.publisher === publisher;
const isNote = (line: Line) => line.ok && line.value.kind === 'checkpoint';
/** All but the `n`th last event of this publisher. */
const without = (publisher: typeof A, n: number): readonly Line[] => {
  const gone = exported.filter(isEvent(publisher)).at(-n);
  return exported.filter((line) => line !== gone);
};

describe('an export is brought into an empty database', () => {
  it('every event of both ledgers stands again, keys and checkpoints with them', async () => {
    const before = await digests();
    const keys = await sql`select publisher, keys, head_seq, head_digest from ledgers order by 1`.execute(storeOf(A).db);
    await loseDatabase();
    const imported = await bringIn(exported);
    expect(imported).toMatchObject({ ok: true, value: { checkpoints: 2, checkpointsLeftOut: 0, behind: [] } });
    expect(await digests()).toEqual(before);
    expect(
      (await sql`select publisher, keys, head_seq, head_digest from ledgers order by 1`.execute(storeOf(A).db)).rows,
    ).toEqual(keys.rows);
    expect(await rowsOf('checkpoints')).toHaveLength(2);
  });

  it('nothing is said before the peer has answered a fresh challenge; then the ledger goes on where it ended, and nobody is accused', async () => {
    await loseDatabase();
    // Without its head files as well: the peer alone knows that the export is old.
    rmSync(headDir, { recursive: true });
    const old = without(A, 1).filter((line) => !isNote(line));
    expect(await bringIn(old)).toMatchObject({ ok: true });
    await open(A, headDir);
    const append = async () => side(A).journal.append(B, decide(refusal('next')));
    expect(await append()).toMatchObject({ ok: false, code: 'LEDGER_QUARANTINED' });
    for (let round = 0; round < 2; round += 1) await compare(A);
    expect(await side(A).journal.ledger(ledgers[0])).toHaveLength(exported.filter(isEvent(A)).length);
    expect(await append()).toMatchObject({ ok: true });
    await tell(A);
    for (const self of [A, B])
      expect((await side(self).journal.peersState()).flatMap(({ proofs, received }) => [...proofs, received.frozen])).toEqual([
        undefined,
      ]);
  });

  it('what head files have beyond it comes home at the start', async () => {
    await say(A, 'after the export');
    const all = await digests();
    await side(A).exchange.head();
    await loseDatabase();
    expect(await bringIn(exported)).toMatchObject({ ok: true, value: { behind: [{ peer: B, kept: 1 }] } });
    await open(A, headDir);
    expect(await digests()).toEqual(all);
  });
});

it('ledgers of a peer that is gone come in, and nobody waits for its answer; once it is a peer again it is asked', async () => {
  const before = await digests();
  await loseDatabase();
  expect(await bringIn(exported, { peers: [C], former: [B] })).toMatchObject({ ok: true });
  expect(await digests()).toEqual(before);
  // C was never told anything, and says so.
  await sql`update ledgers set quarantined_at = null where audience = ${C}`.execute(storeOf(A).db);
  const { journal } = await openJournal(journalOptions(storeOf(A), A, [C], { headDir }));
  expect(await journal.append(C, decide(refusal('next')))).toMatchObject({ ok: true });
  await journal.attach(B);
  expect(await journal.append(C, decide(refusal('next')))).toMatchObject({ ok: false, code: 'LEDGER_QUARANTINED' });
  await journal.close();
});

it('of a peer that is gone nobody gives back what the head file has beyond the export: an operator says that he knows', async () => {
  await say(A, 'after the export');
  await side(A).exchange.head();
  await loseDatabase();
  const bring = (acceptBehind: boolean) => bringIn(exported, { peers: [], former: [B], acceptBehind });
  expect(await bring(false)).toMatchObject({ ok: false, code: 'IMPORT_HEADS_BEYOND' });
  for (const table of ['events', 'ledgers', 'checkpoints']) expect(await rowsOf(table)).toEqual([]);
  expect(await bring(true)).toMatchObject({ ok: true, value: { behind: [{ peer: B, kept: 1 }] } });
});

describe('what is refused changes no row', () => {
  const refused = (what: string, code: string, of: () => readonly Line[], over = (): Partial<ImportOptions> => ({})) => ({
    what,
    code,
    of,
    over,
  });
  const cases = [
    refused('an export of another CSP', 'IMPORT_OTHER_CSP', () => [
      accept({ kind: 'header', self: B } as const),
      ...exported.slice(1),
    ]),
    refused(
      'a ledger with a stranger',
      'IMPORT_PEER_UNCONFIGURED',
      () => exported,
      () => ({ peers: [C] }),
    ),
    refused('a file without its end', 'EXPORT_TRUNCATED', () => [...exported, refuse('EXPORT_TRUNCATED', 'no end line')]),
    refused('an event left out', 'IMPORT_EVENT_REFUSED', () => without(A, 2)),
    refused('events in another order', 'IMPORT_EVENT_REFUSED', () =>
      [exported[0], ...exported.slice(1).toReversed()].flatMap((l) => l ?? []),
    ),
    refused('an event twice', 'IMPORT_EVENT_REFUSED', () => exported.flatMap((line, i) => (i === 2 ? [line, line] : [line]))),
    refused('an event of the other ledger', 'IMPORT_EVENT_REFUSED', () => exported.map((line) => elsewhere(line))),
    refused('one bit of an event', 'IMPORT_EVENT_REFUSED', () => exported.map((line, i) => (i === 2 ? flipped(line) : line))),
    refused('an end of the peer’s ledger cut off', 'IMPORT_CAUSE_MISSING', () => without(B, 1).filter((line) => !isNote(line))),
    refused('an end cut off, beyond a checkpoint', 'IMPORT_CHECKPOINT_CONTRADICTED', () => without(A, 1)),
    refused(
      'events that were told and are nowhere',
      'IMPORT_HEADS_BEYOND',
      () => without(A, 1).filter((line) => !isNote(line)),
      () => ({ openHeadFile: fileSaying(last) }),
    ),
    refused(
      'another event than the head file has',
      'IMPORT_HEADS_CONTRADICTED',
      () => exported,
      () => ({ openHeadFile: fileSaying({ seq: seqOf(1), digest: anyDigest }) }),
    ),
  ];
  const elsewhere = (line: Line): Line =>
    line.ok && line.value.kind === 'event'
      ? accept({ ...line.value, publisher: line.value.audience, audience: line.value.publisher })
      : line;
  const flipped = (line: Line): Line => {
    if (!line.ok || line.value.kind !== 'event') return line;
    const envelope = Uint8Array.from(line.value.envelope);
    const middle = Math.floor(envelope.length / 2);
    envelope[middle] = (envelope[middle] ?? 0) ^ 1;
    return accept({ ...line.value, envelope });
  };
  const fileSaying = (told: HeadPosition) => async (): Promise<HeadFile> => ({
    read: async () => ({ told, events: [] }),
    known: () => null,
    told: () => null,
    isFull: () => false,
    isLarge: () => false,
    keep: async () => undefined,
    covered: async () => undefined,
  });
  let last: HeadPosition = null;
  const endOfOurs = async (): Promise<HeadPosition> =>
    (await side(A).journal.heads()).find(({ publisher }) => publisher === A)?.head ?? null;

  it.each(cases)('$what: $code', async ({ code, of, over }) => {
    last = await endOfOurs();
    await loseDatabase();
    // The tables exist from here on; no row does.
    await bringIn([refuse('EXPORT_TRUNCATED', 'no line at all')]);
    const before = await everything();
    expect(await bringIn(of(), over())).toMatchObject({ ok: false, code });
    expect(await everything()).toBe(before);
    expect(await rowsOf('events')).toEqual([]);
    // And nothing stands in the way of the right one.
    expect(await bringIn(exported)).toMatchObject({ ok: true });
  });

  it('a database that holds something: IMPORT_DATABASE_USED', async () => {
    const before = await everything();
    expect(await bringIn(exported)).toMatchObject({ ok: false, code: 'IMPORT_DATABASE_USED' });
    expect(await everything()).toBe(before);
  });

  it('told events that are nowhere are asked of peer and bus, if the operator says so', async () => {
    last = await endOfOurs();
    await loseDatabase();
    const cut = without(A, 1).filter((line) => !isNote(line));
    expect(await bringIn(cut, { openHeadFile: fileSaying(last), acceptBehind: true })).toMatchObject({
      ok: true,
      value: { behind: [{ peer: B, kept: 0, told: positionOf(last?.seq) }] },
    });
  });
});
