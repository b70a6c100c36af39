import { type Draft, digest, eventSubject, reason, seq } from '@carnet/events';
import { signEnvelope } from '@carnet/trust';
import { beforeEach, describe, expect, it } from 'vitest';
import { type EventSigner, type Journal, openJournal, type StoredEvent } from './index.ts';
import { KEY_OVERLAP_MS } from './limits.ts';
import { twoStores } from './testing/stores.ts';
import {
  A,
  B,
  C,
  decide,
  eventKeyOf,
  introductionOf,
  journalOptions,
  newEventKey,
  openTestStore,
  refusal,
  temporaryDir,
  testClock,
} from './testing/world.ts';

let opened: Journal[] = [];
let b: Journal;
let laterMs = 0;
const clock = { nowMs: () => testClock.nowMs() + laterMs };

/** A replica of A, and the key file that it reads. */
type Replica = { readonly journal: Journal; key: EventSigner };

async function replica(key: EventSigner = eventKeyOf(A)): Promise<Replica> {
  const signing = () => ({ signer: one.key, introduction: introductionOf(A) });
  const { journal } = await openJournal(journalOptions(store(0), A, [B, C], { signing, clock, headDir: temporaryDir() }));
  const one: Replica = { journal, key };
  opened.push(journal);
  return one;
}

const store = twoStores(openTestStore, async () => {
  for (const journal of opened.splice(0)) await journal.close();
});
beforeEach(async () => {
  laterMs = 0;
  opened = [];
  b = (await openJournal(journalOptions(store(1), B, [A], { clock }))).journal;
  opened.push(b);
});

const append = async ({ journal }: Replica, ...drafts: readonly Draft[]): Promise<void> => {
  const outcome = await journal.append(B, decide(...drafts));
  if (!outcome.ok) throw new Error(outcome.code);
};
const told = ({ journal }: Replica): Promise<readonly StoredEvent[]> => journal.ledger({ publisher: A, audience: B });
const deliver = (events: readonly StoredEvent[]) =>
  b.receiveAll(
    A,
    events.map(({ envelope, placement }) => ({ envelope, subject: eventSubject(placement) })),
  );
const typesOf = (events: readonly StoredEvent[]): readonly string[] => events.map(({ placement }) => placement.type);
const signersOf = (events: readonly StoredEvent[]): readonly string[] =>
  events.map(({ envelope }) => JSON.parse(Buffer.from(envelope).toString('utf8')).signatures[0].keyid);

describe('a change of the event key', () => {
  it('is announced, overlaps, and ends the old key; every event verifies by the keys at its position', async () => {
    const one = await replica();
    const old = one.key;
    await append(one, refusal('before'));
    one.key = newEventKey();
    await one.journal.tendKeys();
    await append(one, refusal('in the overlap'));
    await one.journal.tendKeys();
    expect(typesOf(await told(one))).toEqual(['KeyAnnounced', 'MigrationRefused', 'KeyAnnounced', 'MigrationRefused']);
    laterMs = KEY_OVERLAP_MS;
    await one.journal.tendKeys();
    await one.journal.tendKeys();
    await append(one, refusal('after'));
    const events = await told(one);
    expect(typesOf(events).slice(4)).toEqual(['KeyRevoked', 'MigrationRefused']);
    expect(events[4]?.event).toMatchObject({ data: { keyid: old.keyid, lastSeq: '4', reason: { code: 'KEY_ROTATED' } } });
    expect((await deliver(events)).map(({ kind }) => kind)).toEqual(events.map(() => 'placed'));
    const said = [events[2], events[0]].flatMap((each) => (each?.event?.type === 'KeyAnnounced' ? [each.event.data.chain] : []));
    expect([said.length, await b.introductions(A)]).toEqual([2, said]);
    // The old key's holder goes on: refused, and nothing changes.
    const last = events.at(-1);
    const payload = JSON.stringify({
      ...last?.placement,
      ...last?.event,
      id: '01970001-0000-7000-8000-000000000001',
      seq: '7',
      prev: last?.digest,
    });
    const shot = signEnvelope('application/vnd.carnet.event.v1+json', Buffer.from(payload), old);
    const before = await b.heads();
    expect(await b.receive(A, { envelope: shot })).toMatchObject({ kind: 'refused', code: 'KEY_ENDED' });
    expect(await b.heads()).toEqual(before);
  });

  it('lets a replica that has not read its key file yet go on, and end nothing', async () => {
    const [one, two] = [await replica(), await replica()];
    await append(one, refusal('1'));
    const [old, fresh] = [one.key, newEventKey()];
    one.key = fresh;
    await append(one, refusal('2'));
    await append(two, refusal('3'));
    laterMs = KEY_OVERLAP_MS;
    await two.journal.tendKeys();
    expect(signersOf(await told(one))).toEqual([old, old, fresh, fresh, old].map(({ keyid }) => keyid));
    two.key = fresh;
    await append(two, refusal('4'));
    const events = await told(one);
    expect(typesOf(events).slice(5)).toEqual(['KeyRevoked', 'MigrationRefused']);
    expect((await deliver(events)).map(({ kind }) => kind)).toEqual(events.map(() => 'placed'));
  });

  it('both replicas changing at once announce once', async () => {
    const [one, two] = [await replica(), await replica()];
    await append(one, refusal('1'));
    one.key = newEventKey();
    two.key = one.key;
    await Promise.all([one.journal.tendKeys(), two.journal.tendKeys(), append(one, refusal()), append(two, refusal())]);
    laterMs = KEY_OVERLAP_MS;
    await Promise.all([one.journal.tendKeys(), two.journal.tendKeys()]);
    const types = typesOf(await told(one));
    expect(types.filter((type) => type === 'KeyAnnounced')).toHaveLength(2);
    expect(types.filter((type) => type === 'KeyRevoked')).toHaveLength(1);
  });

  it('goes on after a crash at any step: the ledger says what is owed', async () => {
    const fresh = newEventKey();
    const first = await replica();
    await append(first, refusal());
    for (const [key, ms] of [
      [fresh, 0],
      [fresh, KEY_OVERLAP_MS],
      [fresh, KEY_OVERLAP_MS],
    ] as const) {
      laterMs = ms;
      const again = await replica(key);
      await again.journal.tendKeys();
    }
    expect(typesOf(await told(first))).toEqual(['KeyAnnounced', 'MigrationRefused', 'KeyAnnounced', 'KeyRevoked']);
  });

  it('an old key file that comes back from a backup signs nothing', async () => {
    const one = await replica();
    const old = one.key;
    await append(one, refusal());
    one.key = newEventKey();
    await one.journal.tendKeys();
    laterMs = KEY_OVERLAP_MS;
    await one.journal.tendKeys();
    one.key = old;
    const before = await told(one);
    await expect(append(one, refusal())).rejects.toMatchObject({ code: 'OWN_KEY_REVOKED' });
    expect(await told(one)).toEqual(before);
  });

  it('begins no ledger', async () => {
    const one = await replica();
    await one.journal.tendKeys();
    expect(await told(one)).toEqual([]);
    expect(await one.journal.ledger({ publisher: A, audience: C })).toEqual([]);
  });
});

describe('a key that others may hold', () => {
  const stolen = reason.parse({ code: 'KEY_COMPROMISED', text: 'the host was broken into' });

  it('is ended at once, from an earlier position on; what it signed stays placed', async () => {
    const one = await replica();
    const old = one.key;
    await append(one, refusal('ours'));
    await append(one, refusal('whose?'));
    one.key = newEventKey();
    await one.journal.tendKeys();
    expect(await one.journal.endKey(B, { keyid: digest.parse(old.keyid), lastSeq: seq.parse('2'), reason: stolen })).toEqual({
      ok: true,
      value: null,
    });
    const events = await told(one);
    expect(typesOf(events)).toEqual(['KeyAnnounced', 'MigrationRefused', 'MigrationRefused', 'KeyAnnounced', 'KeyRevoked']);
    expect((await deliver(events)).map(({ kind }) => kind)).toEqual(events.map(() => 'placed'));
    const { keys } = (await store(1)
      .db.selectFrom('ledgers' as never)
      .selectAll()
      .where('publisher' as never, '=', A as never)
      .executeTakeFirst()) as unknown as { readonly keys: readonly object[] };
    expect(keys[0]).toMatchObject({ to: '5', revoked: { at: '5', lastSeq: '2' } });
  });

  it('is not the one that signs now, nor an unknown one, nor one that was ended', async () => {
    const one = await replica();
    await append(one, refusal());
    const [old, ending] = [one.key, { lastSeq: seq.parse('2'), reason: stolen }];
    const end = async (keyid: string, peer = B): Promise<string> => {
      const ended = await one.journal.endKey(peer, { ...ending, keyid: digest.parse(keyid) });
      return ended.ok ? 'ok' : ended.code;
    };
    expect(await end(old.keyid)).toBe('KEY_IN_USE');
    expect(await end('ab'.repeat(32))).toBe('KEY_UNKNOWN');
    one.key = newEventKey();
    await one.journal.tendKeys();
    expect(await end(old.keyid)).toBe('ok');
    const before = await told(one);
    expect(await end(old.keyid)).toBe('KEY_ENDED');
    expect(await told(one)).toEqual(before);
  });
});
