import { type Draft, eventSubject } from '@carnet/events';
import { beforeEach, expect, it } from 'vitest';
import { openExchange } from './exchange.ts';
import { type ChainValidator, type Journal, type JournalParts, openJournal, type StoredEvent } from './index.ts';
import { signMessage } from './messages.ts';
import { openOutbox } from './outbox.ts';
import { twoStores } from './testing/stores.ts';
import {
  A,
  B,
  decide,
  eventKeyOf,
  identityOf,
  introductionOf,
  journalOptions,
  memoryLog,
  NOTHING_AROUND,
  newEventKey,
  openTestStore,
  refusal,
  temporaryDir,
  testClock,
  validateChain,
} from './testing/world.ts';

let a: Journal;
let b: Journal;
let parts: JournalParts;
let log = memoryLog();
/** First certificates of chains that are revoked, as B knows. */
let revoked = new Set<string>();
/** A's second certificate: the same identity under another spelling. */
const RENEWED = [...identityOf(A).chain, Buffer.from('renewed').toString('base64')];

const judge: ChainValidator = async (chain, domain, at) =>
  revoked.has(chain.at(-1) ?? '')
    ? { ok: false, code: 'REVOKED', text: 'expected a certificate that is not revoked' }
    : validateChain(chain, domain, at);

const store = twoStores(openTestStore, async () => {
  await a?.close();
  await b?.close();
});
beforeEach(async () => {
  revoked = new Set();
  log = memoryLog();
  a = (await openJournal(journalOptions(store(0), A, [B]))).journal;
  const opened = await openJournal(journalOptions(store(1), B, [A], { validateChain: judge, log }));
  b = opened.journal;
  parts = opened.parts;
});

const append = async (...drafts: readonly Draft[]): Promise<void> => {
  const outcome = await a.append(B, decide(...drafts));
  if (!outcome.ok) throw new Error(outcome.code);
};
const told = (): Promise<readonly StoredEvent[]> => a.ledger({ publisher: A, audience: B });
const deliver = (events: readonly StoredEvent[]) =>
  b.receiveAll(
    A,
    events.map(({ envelope, placement }) => ({ envelope, subject: eventSubject(placement) })),
  );
const held = async (): Promise<number> => (await b.ledger({ publisher: A, audience: B })).length;
const everything = async () => ({ heads: await b.heads(), peers: await b.peersState(), events: await held() });

/** A certificate for A again, and with it a new event key. */
const renew = async (): Promise<void> => {
  await a.close();
  const introduction = { ...introductionOf(A), chain: RENEWED };
  a = (await openJournal(journalOptions(store(0), A, [B], { signer: newEventKey(), introduction, headDir: temporaryDir() })))
    .journal;
};

it('a revoked peer is refused, and nothing changes; what was placed before stays', async () => {
  await append(refusal('before'));
  await deliver(await told());
  await append(refusal('after'));
  expect(await b.standing(A)).toMatchObject({ ok: true });
  revoked.add(identityOf(A).chain[0] ?? '');
  const before = await everything();
  expect((await deliver((await told()).slice(2))).map((one) => ('code' in one ? one.code : one.kind))).toEqual(['PEER_REVOKED']);
  expect(await b.standing(A)).toMatchObject({ ok: false, code: 'REVOKED' });
  expect(await everything()).toEqual(before);
  expect(log.said).toContainEqual(expect.objectContaining({ fields: expect.objectContaining({ code: 'PEER_REVOKED' }) }));
  expect((await deliver((await told()).slice(0, 2))).map(({ kind }) => kind)).toEqual(['repeat', 'repeat']);
});

it('nothing is begun with a revoked peer, what was begun is ended, and its messages are not heard', async () => {
  await append(refusal());
  await deliver(await told());
  const headFile = parts.headFiles.get(A);
  if (headFile === undefined) throw new Error('no head file');
  const exchange = openExchange(parts, A, openOutbox(parts, A, headFile), NOTHING_AROUND);
  const head = signMessage(
    { kind: 'head', from: A, to: B, time: new Date(testClock.nowMs()).toISOString() as never, own: null, received: null },
    eventKeyOf(A),
  );
  expect(await exchange.hear(head)).toMatchObject({ ok: true });
  revoked.add(identityOf(A).chain[0] ?? '');
  expect(await exchange.hear(head)).toMatchObject({ ok: false, code: 'PEER_REVOKED' });
  const offer = { ...refusal(), type: 'MigrationOffered' } as unknown as Draft;
  const before = await everything();
  expect(await b.append(A, decide(offer))).toMatchObject({ ok: false, code: 'PEER_REVOKED' });
  expect(await everything()).toEqual(before);
  expect(await b.append(A, decide(refusal()))).toMatchObject({ ok: true });
});

it('a revoked peer comes back with a new key under a good certificate, which vouches for all that lies before', async () => {
  await append(refusal('before'));
  await deliver(await told());
  await append(refusal('one'), refusal('two'));
  revoked.add(identityOf(A).chain[0] ?? '');
  await renew();
  await append(refusal('three'));
  const events = await told();
  const results = await deliver(events.slice(2));
  expect(results.map(({ kind }) => kind)).toEqual(['placed', 'placed', 'placed', 'placed']);
  expect(await held()).toBe(events.length);
  expect(await b.standing(A)).toMatchObject({ ok: true });
});

it('whoever holds the old key only cannot lean on a certificate that is not his', async () => {
  await append(refusal('before'));
  await deliver(await told());
  const cert = identityOf(A).chain[0] ?? '';
  revoked.add(cert);
  // Signed by a new key, introduced by nobody: the statement is the one of another key.
  await a.close();
  const thief = { keyid: identityOf(A).signer.keyid, sign: () => new Uint8Array(64) };
  const introduction = { ...introductionOf(A), chain: RENEWED, signer: thief };
  const forged = (
    await openJournal(
      journalOptions(store(0), A, [B], {
        signer: newEventKey(),
        introduction,
        headDir: temporaryDir(),
        validateChain: async () => ({ ok: true, value: { spkiVerifier: { verify: () => true } } }),
      }),
    )
  ).journal;
  a = forged;
  await append(refusal('stolen'));
  const before = await everything();
  const results = await deliver((await told()).slice(2));
  expect(results.map((one) => ('code' in one ? one.code : one.kind))).toEqual(['PEER_REVOKED', 'PEER_REVOKED']);
  expect(await everything()).toEqual(before);
});
