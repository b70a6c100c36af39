import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type IntentRequest, intentRequest, type RequestRecord } from '@carnet/events';
import { runChanges, type Store } from '@carnet/store';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { migration } from '../../../../libs/saga/src/testing.ts';
import { openEmptyStore } from '../../../../libs/store/src/testing.ts';
import { VM } from '../http/testing/fake-service.ts';
import { tokenEnding } from '../users/credential.ts';
import { SHOWN } from '../users/testing/shown.ts';
import { contentDigest } from './request-content.ts';
import { openWaitingRequests, requestChanges, WAITING_MAX, WAITING_OF_ONE_MAX, type WaitingRequests } from './requests.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-requests-'));
const ID = migration(1);
const REQUEST = intentRequest.parse({ migration: ID, vm: VM, target: 'csp-b.example', mode: 'cold' });
const by = (principal: string, request: IntentRequest = REQUEST): RequestRecord => ({
  via: 'token',
  principal,
  digest: contentDigest(request),
});
let store: Store;
let waiting: WaitingRequests;
beforeAll(async () => {
  store = await openEmptyStore(dir);
  await runChanges(store, requestChanges);
  waiting = openWaitingRequests(store);
}, 60_000);
afterAll(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(async () => {
  await sql`delete from broker_requests`.execute(store.db);
  expect(await waiting.add({ request: REQUEST, record: by('anna'), shown: SHOWN })).toBeUndefined();
});
const approvers = async () => (await waiting.get(ID))?.approvals.map(({ principal }) => principal).toSorted();

describe('a request that waits', () => {
  it('has the approval of everyone who approved, also in the same moment, and of each person once', async () => {
    const all = ['bob', 'carol', 'dave', 'duty/bob'].map((name) => waiting.approve(ID, by(name)));
    expect(await Promise.all(all)).toEqual([true, true, true, true]);
    expect(await approvers()).toEqual(['carol', 'dave', 'duty/bob']);
  });

  it('waits for seven days, and then neither shows nor is approved', async () => {
    const age = (days: number) =>
      sql`update broker_requests set asked_at = now() - make_interval(days => ${sql.lit(days)}, mins => 5)`.execute(store.db);
    await age(6);
    expect([(await waiting.all()).length, await waiting.approve(ID, by('bob'))]).toEqual([1, true]);
    await age(7);
    expect([await waiting.get(ID), await waiting.all(), await waiting.approve(ID, by('carol'))]).toEqual([undefined, [], false]);
    expect(await waiting.add({ request: REQUEST, record: by('eve'), shown: SHOWN })).toBeUndefined();
    expect(await waiting.get(ID)).toMatchObject({ record: by('eve'), approvals: [] });
  });

  it('may be asked again by who asked, with what is good for longer, and by nobody else', async () => {
    const longer = tokenEnding(1);
    await waiting.approve(ID, by('bob'));
    expect(await waiting.add({ request: REQUEST, record: by('eve'), shown: longer })).toBeUndefined();
    expect(await waiting.get(ID)).toMatchObject({ record: by('anna'), shown: SHOWN });
    expect(await waiting.add({ request: REQUEST, record: by('anna'), shown: longer })).toBeUndefined();
    expect(await waiting.get(ID)).toMatchObject({ record: by('anna'), shown: longer, approvals: [by('bob')] });
    const other = intentRequest.parse({ ...REQUEST, mode: 'suspend' });
    expect(await waiting.add({ request: other, record: by('anna', other), shown: SHOWN })).toMatchObject({
      code: 'MIGRATION_ID_TAKEN',
    });
  });

  it('that a former broker kept, without what it was asked with, is nobody’s to approve', async () => {
    await sql`update broker_requests set shown = null`.execute(store.db);
    expect([await waiting.get(ID), await waiting.all(), await waiting.approve(ID, by('bob'))]).toEqual([undefined, [], false]);
  });
});

describe('requests without end', () => {
  /** So many that wait already, each of a principal that `of` names in SQL by their number `n`. */
  const fill = (count: number, of: string, endsIn = '1 day') =>
    sql`insert into broker_requests (migration, request, record, approvals, shown, principal, ends_at)
      select 'of ' || n, '', '', '[]', '', ${sql.raw(of)}, now() + ${endsIn}::interval from generate_series(1, ${count}) n`.execute(
      store.db,
    );
  const asks = (principal: string, n = 2, more: object = {}) => {
    const request = intentRequest.parse({ ...REQUEST, migration: migration(n), ...more });
    return waiting.add({ request, record: by(principal, request), shown: SHOWN });
  };

  it('of one principal leave room for everyone else, and are refused by their own code', async () => {
    await fill(WAITING_OF_ONE_MAX, `'eve'`);
    expect(await asks('eve')).toMatchObject({ ok: false, code: 'REQUESTS_EXCEEDED', text: expect.stringContaining('eve') });
    expect(await asks('bob')).toBeUndefined();
    expect((await waiting.get(migration(2)))?.record.principal).toBe('bob');
  });

  it('of many fill the table; who waits already may still ask again', async () => {
    await fill(WAITING_MAX - 1, `'scheduler-' || n`);
    expect(await asks('bob')).toMatchObject({ ok: false, code: 'REQUESTS_EXCEEDED' });
    expect(await waiting.add({ request: REQUEST, record: by('anna'), shown: tokenEnding(1) })).toBeUndefined();
  });

  it('make room when their own time is over', async () => {
    await fill(WAITING_MAX, `'eve'`, '-1 second');
    expect(await asks('eve')).toBeUndefined();
  });

  it('end with what they said of their end', async () => {
    const soon = Math.floor(Date.now() / 1_000) * 1_000 + 3_600_000;
    await asks('bob', 2, { notAfter: new Date(soon).toISOString() });
    await asks('bob', 3);
    const { rows } = await sql<{ ends_at: Date | null }>`
      select ends_at from broker_requests where principal = 'bob' order by migration`.execute(store.db);
    expect(rows.map(({ ends_at }) => ends_at?.getTime())).toEqual([soon, undefined]);
  });
});
