import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { epoch, type KeyState, keyState, trustDomain } from '@carnet/events';
import { ed25519Signer, ed25519Verifier, openEnvelope } from '@carnet/trust';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KeyVerb } from './operate.ts';
import { type OwnWord, stepsTo } from './own-words.ts';
import type { KeyChange } from './records/announcements.ts';
import { isDestroyed, isLegal } from './records/states.ts';
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
  within,
} from './testing/two-sides.ts';

const signer = ed25519Signer(generateKeyPairSync('ed25519').privateKey);
const A = trustDomain.parse('csp-a.example');
const C = trustDomain.parse('csp-c.example');
let a: Side;
let b: Side;
beforeAll(async () => {
  [a, b] = await Promise.all([openSide({ process: inlineProcess() }), openSide({ process: inlineProcess() })]);
}, 60_000);
afterAll(async () => {
  await a.close();
  await b.close();
});

type Key = Story['keys'][number];
const diskOf = ({ keys }: Pick<Story, 'keys'>): Key => {
  const [disk] = keys;
  if (disk === undefined) throw new Error('no disk');
  return disk;
};

/** A key that B has by a migration from A. */
async function come(): Promise<Story> {
  const story = await begin(a, b);
  const { migration, epoch: attempt } = story.handover;
  const { release, acknowledged, roots } = await released(a, b, story);
  const opening = { migration, epoch: attempt, release, acknowledged: acknowledged.digest, roots };
  must(await record(b, await b.keys.openRelease(opening)));
  must(await within(b, (tx) => b.keys.importKeys(tx, { migration, epoch: attempt, release: release.digest })));
  return story;
}

const act = async (side: Side, { key, version }: Key, verb: KeyVerb) =>
  must(
    await within(side, (tx) =>
      side.keys.operate(tx, { key, version, verb, principal: 'eve', reason: 'why', code: 'key-compromise', signer }),
    ),
  );

const TABLES = ['keys_holdings', 'keys_history', 'keys_consumers'] as const;

/** What is done to a key, in a database that is then set back to before it. Answers what peers were told of it, oldest first. */
async function lost(side: Side, key: Key, work: () => Promise<unknown>): Promise<readonly OwnWord[]> {
  const db = onKeys(side.store.db);
  const rows = await Promise.all(TABLES.map((table) => db.selectFrom(table).selectAll().where('key', '=', key.key).execute()));
  await work();
  const told = (await side.keys.owedAnnouncements()).filter(({ data }) => data.key === key.key);
  await db
    .deleteFrom('keys_announcements')
    .where(
      'line',
      'in',
      told.map(({ line }) => line),
    )
    .execute();
  for (const [i, table] of TABLES.entries()) {
    await db.deleteFrom(table).where('key', '=', key.key).execute();
    for (const row of rows[i] ?? []) await db.insertInto(table).values(row).execute();
  }
  return told.map(({ peer, data }) => ({ event: someDigest(), peer, data }));
}

const keep = (side: Side, word: OwnWord, arrival = 1) =>
  side.store.db.transaction().execute((tx) => side.keys.keepWord(tx, { ...word, arrival, signer }));
const stateOf = async (side: Side, key: Key) => must(await side.keys.show(key)).state;
const only = <T>(all: readonly T[]): T => {
  const [one] = all;
  if (one === undefined || all.length > 1) throw new Error(`expected one, got ${all.length}`);
  return one;
};

describe('a word of ours that came home to a database of before it', () => {
  it('is kept: the change is made again, signed, dated as it was told, and names the event; again it is nothing', async () => {
    const key = diskOf(await come());
    const word = only(await lost(b, key, () => act(b, key, 'compromise')));
    expect(await stateOf(b, key)).toBe('active');
    expect(await b.keys.wordsHome([word])).toEqual({ owed: [], unkept: [word] });
    expect(await keep(b, word)).toBe('changed');
    const { state, history, historyChain } = must(await b.keys.show(key));
    expect([state, historyChain]).toEqual(['compromised', 'intact']);
    const line = history.at(-1);
    const { from, to, at } = word.data;
    expect(line).toMatchObject({ from, to, at, cause: word.event });
    const envelope = Buffer.from(JSON.stringify(line?.signature));
    const type = 'application/vnd.carnet.key-change.v1+json';
    expect(openEnvelope(envelope, type, () => ed25519Verifier(signer.publicKey)).ok, 'auditors want it signed').toBe(true);
    const once = await snapshot(b);
    expect(await keep(b, word)).toBe('kept');
    expect(await snapshot(b)).toBe(once);
  });

  it('is not said a second time, to nobody', async () => {
    const key = diskOf(await come());
    const word = only(await lost(b, key, () => act(b, key, 'compromise')));
    await keep(b, word);
    expect((await b.keys.owedAnnouncements()).filter(({ data }) => data.key === key.key)).toEqual([]);
    expect(await b.keys.wordsHome([word])).toEqual({ owed: [], unkept: [] });
  });

  it('of which the row says that it is owed was told', async () => {
    const key = diskOf(await come());
    await act(b, key, 'compromise');
    const row = only((await b.keys.owedAnnouncements()).filter(({ data }) => data.key === key.key));
    const word = { event: someDigest(), peer: row.peer, data: row.data };
    const { owed, unkept } = await b.keys.wordsHome([word, { ...word, peer: C }]);
    expect([owed, unkept]).toEqual([[row], [{ ...word, peer: C }]]);
  });

  it('said to another peer as well changes nothing more', async () => {
    const key = diskOf(await come());
    const word = only(await lost(b, key, () => act(b, key, 'suspend')));
    const other = { ...word, event: someDigest(), peer: C };
    expect([await keep(b, word), await keep(b, other)]).toEqual(['changed', 'kept']);
    expect(must(await b.keys.show(key)).history.filter(({ to }) => to === 'suspended')).toHaveLength(1);
    expect(await b.keys.wordsHome([word, other])).toEqual({ owed: [], unkept: [] });
  });

  it('that a key is destroyed destroys it, with spare and consumers that an old database notes', async () => {
    const key = diskOf(await come());
    const consumers = must(await b.keys.show(key)).consumers;
    const word = only(
      await lost(b, key, async () => {
        for (const consumer of consumers)
          await within(b, async (tx) => {
            await b.keys.removeConsumer(tx, key.key, consumer);
            return { ok: true, value: null };
          });
        await act(b, key, 'destroy');
      }),
    );
    expect(must(await b.keys.show(key))).toMatchObject({ state: 'active', consumers });
    await keep(b, word);
    const view = must(await b.keys.show(key));
    expect([view.state, view.kekVersion, view.consumers]).toEqual(['destroyed', undefined, []]);
    const dir = join(b.dir, 'spares');
    expect(existsSync(dir) && readdirSync(dir).some((file) => file.includes(key.key))).toBe(false);
  });

  it('of a key that its source had destroyed before is kept by both steps, in whatever order the ledger is followed', async () => {
    const story = await come();
    const key = diskOf(story);
    const word = only(
      await lost(a, key, async () => {
        must(await within(a, (tx) => a.keys.retire(tx, retiring(story))));
        await act(a, key, 'compromise');
      }),
    );
    expect(word.data).toMatchObject({ from: 'destroyed', to: 'destroyed-compromised' });
    expect(await keep(a, word, 0)).toBe('changed');
    const { history } = must(await a.keys.show(key));
    expect(history.slice(-2).map(({ from, to }) => [from, to])).toEqual([
      ['suspended', 'destroyed'],
      ['destroyed', 'destroyed-compromised'],
    ]);
  });

  it('does not touch another holding of the key', async () => {
    const key = diskOf(await come());
    const word = only(await lost(b, key, () => act(b, key, 'compromise')));
    const before = await snapshot(b);
    expect(await keep(b, word, epoch.parse(7))).toBe('kept');
    expect(await snapshot(b)).toBe(before);
  });

  it('waits while the key is on its way in or out by the rows, unless the key is over for good', async () => {
    const [story, change] = [await begin(a, b), { version: 1, reason: 'superseded', at: NOW } as const];
    const { key } = diskOf(story);
    const { migration } = story.handover;
    await deposited(a, b, story);
    const said = (from: KeyState, to: KeyState): OwnWord => ({
      event: someDigest(),
      peer: C,
      data: { ...change, key, migration, from, to },
    });
    for (const [side, arrival, word] of [
      [a, 0, said('active', 'suspended')],
      [b, 1, said('active', 'suspended')],
      [b, 1, said('active', 'compromised')],
    ] as const) {
      const before = await snapshot(side);
      expect(await keep(side, word, arrival)).toBe('waits');
      expect(await snapshot(side)).toBe(before);
    }
    expect(await keep(a, said('active', 'compromised'), 0)).toBe('changed');
  });

  it('does not overrule what was said later, whichever ledger comes home first; but what is over for good stays so', async () => {
    const key = diskOf(await come());
    const at = (minute: number) => `2026-11-23T11:0${minute}:00.000Z` as KeyChange['at'];
    const said = (minute: number, from: KeyState, to: KeyState): OwnWord => ({
      event: someDigest(),
      peer: A,
      data: {
        key: key.key,
        version: 1,
        migration: 'm' as KeyChange['migration'],
        from,
        to,
        reason: 'superseded',
        at: at(minute),
      },
    });
    const said3 = said(3, 'active', 'suspended');
    expect(await keep(b, said3)).toBe('changed');
    expect([await keep(b, said(1, 'active', 'suspended')), await keep(b, said(2, 'suspended', 'active'))]).toEqual([
      'kept',
      'kept',
    ]);
    expect(await stateOf(b, key)).toBe('suspended');
    expect(await keep(b, said(4, 'suspended', 'active'))).toBe('changed');
    expect(await keep(b, said(2, 'active', 'compromised'))).toBe('changed');
    expect([await keep(b, said(5, 'suspended', 'active')), await stateOf(b, key)]).toEqual(['kept', 'compromised']);
  });
});

describe('steps to what was told', () => {
  const CHANGES = keyState.options.flatMap((from) =>
    keyState.options.filter((to) => isLegal(from, to)).map((to) => ({ from, to })),
  );
  const STATES = keyState.options.filter((state) => state !== 'pre-activation');
  it.each(CHANGES)('from $from to $to, whatever the database holds: legal, and never to what is usable again', ({ from, to }) => {
    for (const state of STATES) {
      const steps = stepsTo(state, { from, to });
      let at: KeyState = state;
      for (const step of steps) {
        expect(isLegal(at, step), `${at} to ${step}`).toBe(true);
        at = step;
      }
      if (to === 'compromised') expect(['compromised', 'destroyed-compromised']).toContain(at);
      if (isDestroyed(to)) expect(isDestroyed(at), `${state} ends ${at}`).toBe(true);
      if (at === 'active') expect(state === 'active' || to === 'active').toBe(true);
    }
  });
});
