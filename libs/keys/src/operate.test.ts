import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { type EventData, type KeyState, keyId, trustDomain } from '@carnet/events';
import { ed25519Signer, ed25519Verifier, openEnvelope } from '@carnet/trust';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { REPORTS_OF_KEY_MAX, REPORTS_OF_PEER_MAX } from './limits.ts';
import { type KeyVerb, keyVerb } from './operate.ts';
import { isLegal } from './records/states.ts';
import { onKeys } from './records/tables.ts';
import {
  begin,
  deposited,
  inlineProcess,
  must,
  NOW,
  openSide,
  record,
  released,
  retiring,
  type Side,
  type Story,
  snapshot,
  someDigest,
  TENANT,
  within,
} from './testing/two-sides.ts';

const signer = ed25519Signer(generateKeyPairSync('ed25519').privateKey);
const EVE = 'spiffe://csp-a.example/custodian';
const B = trustDomain.parse('csp-b.example');
let a: Side;
let b: Side;
beforeAll(async () => {
  [a, b] = await Promise.all([openSide({ process: inlineProcess() }), openSide({ process: inlineProcess() })]);
}, 60_000);
afterAll(async () => {
  await a.close();
  await b.close();
});

type Key = { readonly key: Story['keys'][number]['key']; readonly version: number };
const act = (side: Side, key: Key, verb: KeyVerb) =>
  within(side, (tx) =>
    side.keys.operate(tx, {
      key: key.key,
      version: key.version,
      verb,
      principal: EVE,
      reason: `to ${verb}`,
      code: 'key-compromise',
      signer,
    }),
  );
const diskOf = ({ keys }: Story): Key => {
  const [disk] = keys;
  if (disk === undefined) throw new Error('no disk');
  return disk;
};

/** A disk key that no VM needs. */
async function lonelyKey(): Promise<Key> {
  const story = await begin(a, b);
  const key = diskOf(story);
  await within(a, async (tx) => {
    await a.keys.removeConsumer(tx, key.key, `vm:${story.handover.vm}`);
    return { ok: true, value: null };
  });
  return key;
}

describe('what an operator does to a key', () => {
  it('is dated, reasoned, chained and signed', async () => {
    const story = await begin(a, b);
    const key = diskOf(story);
    must(await act(a, key, 'suspend'));
    must(await act(a, key, 'resume'));
    must(await act(a, key, 'compromise'));
    const view = must(await a.keys.show(key));
    expect(view.historyChain).toBe('intact');
    expect(view.history.slice(-3)).toMatchObject([
      { from: 'active', to: 'suspended', actor: EVE, reason: 'to suspend' },
      { from: 'suspended', to: 'active', actor: EVE, reason: 'to resume' },
      { from: 'active', to: 'compromised', actor: EVE, reason: 'to compromise' },
    ]);
    const last = view.history.at(-1);
    const envelope = Buffer.from(JSON.stringify(last?.signature));
    const opened = openEnvelope(envelope, 'application/vnd.carnet.key-change.v1+json', () => ed25519Verifier(signer.publicKey));
    if (!opened.ok) throw new Error(opened.code);
    expect(JSON.parse(Buffer.from(opened.value.payload).toString())).toMatchObject({
      key: key.key,
      from_state: 'active',
      to_state: 'compromised',
      actor: EVE,
      prev: view.history.at(-2)?.digest,
    });
  });

  it.each([
    ['a changed reason', { reason: 'it was always so' }],
    ['another actor', { actor: 'spiffe://csp-a.example/somebody' }],
    ['another time', { at: '2020-01-01T00:00:00.000Z' }],
  ])('a history with %s is shown as broken', async (_name, change) => {
    const key = diskOf(await begin(a, b));
    must(await act(a, key, 'suspend'));
    const rows = onKeys(a.store.db).updateTable('keys_history').set(change).where('key', '=', key.key);
    await rows.where('position', '=', 1).execute();
    expect(must(await a.keys.show(key)).historyChain).toBe('broken');
  });

  it('asked again is the same step, and writes nothing', async () => {
    const key = diskOf(await begin(a, b));
    must(await act(a, key, 'suspend'));
    const before = await snapshot(a);
    must(await act(a, key, 'suspend'));
    expect(await snapshot(a)).toBe(before);
  });

  it('never leaves the table of legal steps, whatever is asked in whatever order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...keyVerb.options), { minLength: 1, maxLength: 8 }), async (verbs) => {
        const key = await lonelyKey();
        for (const verb of verbs) {
          const before = must(await a.keys.show(key)).state;
          const result = await act(a, key, verb);
          const { state, kekVersion } = must(await a.keys.show(key));
          if (!result.ok) expect([result.code, state]).toEqual(['KEY_TRANSITION_ILLEGAL', before]);
          else expect(state === before || isLegal(before, state)).toBe(true);
          expect(kekVersion === undefined).toBe(state.startsWith('destroyed'));
        }
        const { history, historyChain } = must(await a.keys.show(key));
        expect(historyChain).toBe('intact');
        for (const [i, line] of history.entries()) expect(line.from).toBe(i === 0 ? undefined : history[i - 1]?.to);
      }),
      { numRuns: 25 },
    );
  });
});

describe('what is refused leaves everything as it was', () => {
  let story: Story;
  beforeEach(async () => {
    story = await begin(a, b);
  });
  const refused = async (side: Side, key: Key, verb: KeyVerb, code: string, got?: string) => {
    const before = await snapshot(side);
    expect(await act(side, key, verb)).toMatchObject({ ok: false, code, ...(got === undefined ? {} : { got }) });
    expect(await snapshot(side)).toBe(before);
  };

  it('a key with consumers is not destroyed, and each is named', async () => {
    const key = diskOf(story);
    must(await within(a, (tx) => a.keys.need(tx, key, 'backup:nightly')));
    await refused(a, key, 'destroy', 'KEY_IN_USE', `backup:nightly vm:${story.handover.vm}`);
  });

  it('a key under way, at either side, from the deposit to the end', async () => {
    const key = diskOf(story);
    const before = await deposited(a, b, story);
    for (const verb of ['suspend', 'compromise', 'destroy'] as const) {
      await refused(a, key, verb, 'KEY_MOVING', story.handover.migration);
      await refused(b, key, verb === 'suspend' ? 'compromise' : verb, 'KEY_MOVING', story.handover.migration);
    }
    await released(a, b, story, before);
    await refused(a, key, 'resume', 'KEY_MOVING');
  });

  it('a deposit does not become usable by an operator’s word, nor a key that was deactivated', async () => {
    const key = await lonelyKey();
    must(await act(a, key, 'deactivate'));
    await refused(a, key, 'resume', 'KEY_TRANSITION_ILLEGAL');
    await refused(a, key, 'suspend', 'KEY_TRANSITION_ILLEGAL');
  });

  it('a key of one VM has no other VM for a consumer, but may have its own', async () => {
    const key = diskOf(story);
    const before = await snapshot(a);
    const need = (consumer: string) => within(a, (tx) => a.keys.need(tx, key, consumer));
    const other = await need('vm:csp-a.example/other');
    expect(other).toMatchObject({ ok: false, code: 'CONSUMER_FOREIGN', expected: `vm:${story.handover.vm}` });
    expect(await snapshot(a)).toBe(before);
    must(await need(`vm:${story.handover.vm}`));
  });

  it('an unknown key, and a consumer for a destroyed one', async () => {
    await refused(a, { key: keyId.parse(randomUUID()), version: 1 }, 'suspend', 'KEY_UNKNOWN');
    const key = await lonelyKey();
    must(await act(a, key, 'destroy'));
    const before = await snapshot(a);
    expect(await within(a, (tx) => a.keys.need(tx, key, 'vm:x'))).toMatchObject({ code: 'KEY_STATE', got: 'destroyed' });
    expect(await snapshot(a)).toBe(before);
  });
});

/** A key that moved from A to B, and the end of its migration at both. */
async function moved(): Promise<Story> {
  const story = await begin(a, b);
  const { migration, epoch } = story.handover;
  const { release, acknowledged, roots } = await released(a, b, story);
  must(await record(b, await b.keys.openRelease({ migration, epoch, release, acknowledged: acknowledged.digest, roots })));
  must(await within(b, (tx) => b.keys.importKeys(tx, { migration, epoch, release: release.digest })));
  must(await within(a, (tx) => a.keys.retire(tx, retiring(story))));
  return story;
}

describe('peers that ever held the key', () => {
  it('are owed one event for each change, once, and nobody else is', async () => {
    const story = await moved();
    const key = diskOf(story);
    must(await act(b, key, 'compromise'));
    const owed = (await b.keys.owedAnnouncements()).filter(({ data }) => data.key === key.key);
    const { migration } = story.handover;
    expect(owed).toMatchObject([
      { peer: 'csp-a.example', data: { migration, from: 'active', to: 'compromised', reason: 'key-compromise' } },
    ]);
    expect(JSON.stringify(owed), 'the operator’s own words stay here').not.toContain('to compromise');
    const [one] = owed;
    if (one === undefined) throw new Error('nothing owed');
    const told = await Promise.all([1, 2].map(() => b.store.db.transaction().execute((tx) => b.keys.tellOnce(tx, one))));
    expect(told.filter(Boolean)).toHaveLength(1);
    expect((await b.keys.owedAnnouncements()).filter(({ data }) => data.key === key.key)).toEqual([]);
  });

  it('a key that never left is nobody else’s business', async () => {
    const key = diskOf(await begin(a, b));
    must(await act(a, key, 'compromise'));
    expect((await a.keys.owedAnnouncements()).filter(({ data }) => data.key === key.key)).toEqual([]);
  });

  it('a destroyed key can still be said to be compromised, and the peer that has it now is told', async () => {
    const key = diskOf(await moved());
    expect(must(await act(a, key, 'compromise')).state).toBe('destroyed-compromised');
    expect((await a.keys.owedAnnouncements()).filter(({ data }) => data.key === key.key)).toMatchObject([
      { peer: B, data: { from: 'destroyed', to: 'destroyed-compromised' } },
    ]);
  });
});

describe('a peer’s word about a key', () => {
  const said = ({ handover }: Story, key: Key, from: KeyState, to: KeyState): EventData<'KeyStateChanged'> => ({
    key: key.key,
    version: key.version,
    migration: handover.migration,
    from,
    to,
    reason: 'key-compromise',
    at: '2026-11-23T10:00:00.000Z' as EventData<'KeyStateChanged'>['at'],
  });
  const hear = (peer: string, data: EventData<'KeyStateChanged'>, event = someDigest()) =>
    within(b, (tx) => b.keys.noteReport(tx, { event, peer: trustDomain.parse(peer), data }));

  it('is noted beside our own state, which it does not change; said twice it is noted once', async () => {
    const story = await moved();
    const key = diskOf(story);
    const data = said(story, key, 'destroyed', 'destroyed-compromised');
    const event = someDigest();
    expect(must(await hear('csp-a.example', data, event))).toBe('noted');
    expect(must(await hear('csp-a.example', data, event))).toBe('known');
    const view = must(await b.keys.show(key));
    expect(view.state).toBe('active');
    expect(view.reports).toMatchObject([{ event, peer: 'csp-a.example', to: 'destroyed-compromised' }]);
    expect((await b.keys.reportedCompromised()).get(key.key)).toEqual(['csp-a.example']);
  });

  it.each([
    ['by a third CSP', 'csp-c.example', {}, 'KEY_NOT_SHARED'],
    ['of a key that was never handed over', 'csp-a.example', { key: keyId.parse(randomUUID()) }, 'KEY_NOT_SHARED'],
    ['of another version', 'csp-a.example', { version: 2 }, 'KEY_NOT_SHARED'],
    ['of an impossible step', 'csp-a.example', { from: 'destroyed', to: 'active' } as const, 'KEY_TRANSITION_ILLEGAL'],
  ])('%s is refused, and nothing is noted', async (_name, peer, over, code) => {
    const story = await moved();
    const data = { ...said(story, diskOf(story), 'active', 'compromised'), ...over };
    const before = await snapshot(b);
    expect(await hear(peer, data)).toMatchObject({ ok: false, code });
    expect(await snapshot(b)).toBe(before);
  });

  it('of a hand-over whose row was lost is noted if the ledger bears it out, and then the row is there again', async () => {
    const story = await moved();
    const [key, db] = [diskOf(story), onKeys(b.store.db)];
    await db.deleteFrom('keys_handovers').where('migration', '=', story.handover.migration).execute();
    const data = said(story, key, 'destroyed', 'destroyed-compromised');
    expect(await hear('csp-a.example', data)).toMatchObject({ code: 'KEY_NOT_SHARED' });
    const report = { event: someDigest(), peer: trustDomain.parse('csp-a.example'), data, byLedger: story.handover };
    expect(must(await within(b, (tx) => b.keys.noteReport(tx, report)))).toBe('noted');
    const { migration } = story.handover;
    const view = must(await b.keys.show(key));
    expect(view).toMatchObject({ reports: [{ migration }], shared: [{ peer: 'csp-a.example', migration, direction: 'in' }] });
  });

  it('under the name of another key’s migration is refused', async () => {
    const [one, two] = [await moved(), await moved()];
    const before = await snapshot(b);
    expect(await hear('csp-a.example', said(two, diskOf(one), 'active', 'compromised'))).toMatchObject({
      code: 'KEY_NOT_SHARED',
    });
    expect(await snapshot(b)).toBe(before);
  });

  it('of one key are kept so far: the newest, and every alarm, however much is said beside it', async () => {
    const story = await moved();
    const key = diskOf(story);
    const say = (from: KeyState, to: KeyState, event = someDigest()) => hear('csp-a.example', said(story, key, from, to), event);
    const alarm = someDigest();
    expect(must(await say('active', 'compromised', alarm))).toBe('noted');
    for (let n = 0; n < REPORTS_OF_KEY_MAX + 5; n++) must(await say('active', 'suspended'));
    expect(must(await say('suspended', 'compromised'))).toBe('known');
    const last = someDigest();
    expect(must(await say('suspended', 'active', last))).toBe('noted');
    const kept = must(await b.keys.show(key)).reports.map(({ event }) => event);
    expect(kept).toHaveLength(REPORTS_OF_KEY_MAX + 1);
    expect(kept).toContain(alarm);
  });

  it('of one peer are kept so far: more is refused, but an alarm is not', async () => {
    const full = await moved();
    const key = diskOf(full);
    const db = onKeys(b.store.db);
    const states = { from_state: 'active', to_state: 'suspended', reason: 'superseded', at: NOW, received_at: NOW };
    const filler = { ...states, key: randomUUID(), version: 1, peer: 'csp-a.example', migration: full.handover.migration };
    for (let n = 0; n < REPORTS_OF_PEER_MAX; n += 1_000)
      await db
        .insertInto('keys_reports')
        .values(Array.from({ length: 1_000 }, () => ({ ...filler, event: someDigest() })))
        .execute();
    try {
      const before = await db.selectFrom('keys_reports').selectAll().orderBy('event').execute();
      const refused = await hear('csp-a.example', said(full, key, 'active', 'suspended'));
      expect(refused).toMatchObject({ ok: false, code: 'KEY_REPORTS_FULL' });
      expect(await db.selectFrom('keys_reports').selectAll().orderBy('event').execute()).toEqual(before);
      expect(must(await hear('csp-a.example', said(full, key, 'active', 'compromised')))).toBe('noted');
    } finally {
      await db.deleteFrom('keys_reports').where('key', '=', filler.key).execute();
    }
  });

  it('tenants: what belongs to a project stays under its KEK', async () => {
    expect(must(await b.keys.show(diskOf(await moved()))).tenant).toBe(TENANT);
  });
});
