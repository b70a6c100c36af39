import { type Draft, eventSubject, type Timestamp } from '@carnet/events';
import { appendLeaf, emptyTree, eventLeaf, openCheckpoint, openWitness, signCheckpoint, treeRoot } from '@carnet/trust';
import { beforeEach, expect, it } from 'vitest';
import { type Exchange, openExchange } from './exchange.ts';
import { type Journal, type JournalParts, openJournal } from './index.ts';
import { signMessage } from './messages.ts';
import { openOutbox } from './outbox.ts';
import { twoStores } from './testing/stores.ts';
import {
  A,
  B,
  decide,
  eventKeyOf,
  journalOptions,
  memoryLog,
  NOTHING_AROUND,
  newEventKey,
  openTestStore,
  refusal,
  testClock,
} from './testing/world.ts';

const LEDGER = { publisher: A, audience: B };
type Side = { readonly journal: Journal; readonly parts: JournalParts; readonly exchange: Exchange };
let a: Side;
let b: Side;

const store = twoStores(openTestStore, async () => {
  await a?.journal.close();
  await b?.journal.close();
});

async function openSide(i: 0 | 1, self: typeof A, peer: typeof A): Promise<Side> {
  const { journal, parts } = await openJournal(journalOptions(store(i), self, [peer], { log: memoryLog() }));
  const headFile = parts.headFiles.get(peer);
  if (headFile === undefined) throw new Error('no head file');
  return {
    journal,
    parts,
    exchange: openExchange(parts, peer, openOutbox(parts, peer, headFile), NOTHING_AROUND),
  };
}

beforeEach(async () => {
  a = await openSide(0, A, B);
  b = await openSide(1, B, A);
  await say(b, A, refusal('so that B has a key, too'));
  await tell(b, a, A);
});

const say = async (side: Side, audience: typeof A, ...drafts: readonly Draft[]): Promise<void> => {
  const outcome = await side.journal.append(audience, decide(...drafts));
  if (!outcome.ok) throw new Error(outcome.code);
};
/** Events, and then heads both ways, as the bus carries them. */
async function tell(from: Side, to: Side, audience: typeof A): Promise<void> {
  const events = await from.journal.ledger({ publisher: from.journal.self, audience });
  await to.journal.receiveAll(
    from.journal.self,
    events.map(({ envelope, placement }) => ({ envelope, subject: eventSubject(placement) })),
  );
  for (const head of await to.exchange.head()) await from.exchange.hear(head);
}
/** A's checkpoint as B answers it. */
async function cosigned(): Promise<readonly Uint8Array[]> {
  const answers: Uint8Array[] = [];
  for (const message of await a.exchange.checkpoint()) {
    const heard = await b.exchange.hear(message);
    if (!heard.ok) throw new Error(heard.code);
    answers.push(...heard.value.replies);
  }
  return answers;
}
const kept = async (side: Side) => (await side.journal.checkpoints()).find(({ publisher }) => publisher === A);
const frozenAt = async (side: Side) => (await side.journal.peersState())[0]?.received.frozen?.code;
const quarantinedAt = async (side: Side) => (await side.journal.peersState())[0]?.own.quarantinedAt;

async function oneRound(...drafts: readonly Draft[]): Promise<void> {
  await say(a, B, ...drafts);
  await tell(a, b, B);
  for (const answer of await cosigned()) expect(await a.exchange.hear(answer)).toMatchObject({ ok: true });
}

it('what the peer has acknowledged is signed, cosigned, and kept at both sides: one note', async () => {
  await oneRound(refusal('one'), refusal('two'));
  const [here, there] = [await kept(a), await kept(b)];
  expect(here).toMatchObject({ ...LEDGER, size: 3 });
  expect(there?.note).toEqual(here?.note);
  const note = here?.note ?? new Uint8Array();
  const envelopes = (await b.journal.ledger(LEDGER)).map(({ envelope }) => envelope);
  const root = treeRoot(envelopes.map(eventLeaf).reduce(appendLeaf, emptyTree));
  expect(openCheckpoint(note, LEDGER, [eventKeyOf(A).publicKey])).toMatchObject({
    ok: true,
    value: { size: 3, root },
  });
  expect(openWitness(note, LEDGER, [eventKeyOf(B).publicKey])).toMatchObject({ ok: true });
});

it('nothing is signed twice: an empty round says nothing, a lost answer brings the same note again', async () => {
  await oneRound(refusal('one'));
  expect(await a.exchange.checkpoint()).toEqual([]);
  await say(a, B, refusal('two'));
  await tell(a, b, B);
  await cosigned();
  const first = await kept(b);
  await cosigned();
  expect(await kept(b)).toEqual(first);
  expect((await kept(a))?.size).toBe(2);
  for (const answer of await cosigned()) await a.exchange.hear(answer);
  expect(await kept(a)).toEqual(first);
});

it('grows from the one before, and goes no further than what was acknowledged', async () => {
  await oneRound(refusal('one'));
  await say(a, B, refusal('two'), refusal('three'));
  expect(await a.exchange.checkpoint()).toEqual([]);
  await tell(a, b, B);
  for (const answer of await cosigned()) await a.exchange.hear(answer);
  expect((await kept(a))?.size).toBe(4);
});

const signed = (size: number, root: Uint8Array, by = eventKeyOf(A)) => {
  const note = signCheckpoint(LEDGER, { size, peaks: [root] }, by);
  const time = new Date(testClock.nowMs()).toISOString() as Timestamp;
  return signMessage({ kind: 'checkpoint', from: A, to: B, time, note: Buffer.from(note).toString() }, eventKeyOf(A));
};

it('a publisher that signs another past than it told is convicted by its own note, and nothing is cosigned', async () => {
  await oneRound(refusal('one'), refusal('two'));
  const before = await kept(b);
  const heard = await b.exchange.hear(signed(3, Buffer.alloc(32, 1)));
  expect(heard).toMatchObject({ ok: true, value: { replies: [] } });
  expect(await frozenAt(b)).toBe('LEDGER_FORK');
  expect(await kept(b)).toEqual(before);
  expect((await b.journal.peersState())[0]?.proofs).toHaveLength(1);
});

it('a checkpoint beyond what has come is not cosigned, and convicts nobody', async () => {
  await oneRound(refusal('one'));
  expect(await b.exchange.hear(signed(9, Buffer.alloc(32, 1)))).toMatchObject({ ok: true, value: { replies: [] } });
  expect(await frozenAt(b)).toBeUndefined();
  expect((await kept(b))?.size).toBe(2);
});

it('a note under another key is refused, and changes nothing', async () => {
  await oneRound(refusal('one'));
  const before = await kept(b);
  expect(await b.exchange.hear(signed(2, Buffer.alloc(32, 1), newEventKey()))).toMatchObject({
    ok: false,
    code: 'SIGNER_UNKNOWN',
  });
  expect([await kept(b), await frozenAt(b)]).toEqual([before, undefined]);
});

it('a database that was restored learns of it from what the peer cosigned, and appends nothing more', async () => {
  await oneRound(refusal('one'));
  await say(a, B, refusal('two'));
  await tell(a, b, B);
  const answers = await cosigned();
  // As a backup from before would have it.
  await a.parts.db.deleteFrom('events').where('publisher', '=', A).where('seq', '=', 3).execute();
  const second = (await a.journal.ledger(LEDGER)).at(-1);
  await a.parts.db
    .updateTable('ledgers')
    .set({ head_seq: 2, covered_seq: 2, head_digest: second?.digest ?? null })
    .where('publisher', '=', A)
    .execute();
  for (const answer of answers) await a.exchange.hear(answer);
  expect(await quarantinedAt(a)).toBeDefined();
  expect(await a.journal.append(B, decide(refusal('three')))).toMatchObject({ ok: false, code: 'LEDGER_QUARANTINED' });
});

it('a damaged row of our own accuses nobody', async () => {
  await oneRound(refusal('one'));
  await say(a, B, refusal('two'));
  await tell(a, b, B);
  await b.parts.db
    .updateTable('events')
    .set({ envelope: Buffer.from('{}') })
    .where('publisher', '=', A)
    .where('seq', '=', 3)
    .execute();
  const [message = new Uint8Array()] = await a.exchange.checkpoint();
  await expect(b.exchange.hear(message)).rejects.toThrow('LEDGER_BROKEN');
  expect(await frozenAt(b)).toBeUndefined();
});

it('a tree that was kept wrongly is grown again before anybody is accused', async () => {
  await oneRound(refusal('one'));
  await b.parts.db
    .updateTable('checkpoints')
    .set({ peaks: JSON.stringify([Buffer.alloc(32, 9).toString('base64')]) })
    .execute();
  await oneRound(refusal('two'));
  expect([await frozenAt(b), (await kept(b))?.size]).toEqual([undefined, 3]);
});

it('a head that the bus brings after a later one takes nothing back of what the peer has acknowledged', async () => {
  const heads: Uint8Array[] = [];
  for (const text of ['one', 'two']) {
    await say(a, B, refusal(text));
    const events = await a.journal.ledger(LEDGER);
    await b.journal.receiveAll(
      A,
      events.map(({ envelope, placement }) => ({ envelope, subject: eventSubject(placement) })),
    );
    heads.push(...(await b.exchange.head()));
  }
  const [earlier = new Uint8Array(), later = new Uint8Array()] = heads;
  const acknowledgement = async () =>
    (await a.parts.db.selectFrom('peers').select('head_envelope').executeTakeFirstOrThrow()).head_envelope;
  for (const head of [earlier, later, earlier]) expect(await a.exchange.hear(head)).toMatchObject({ ok: true });
  expect(Buffer.compare((await acknowledgement()) ?? new Uint8Array(), later)).toBe(0);
});
