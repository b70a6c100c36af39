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
import { openWaitingRequests, requestChanges, type WaitingRequests } from './requests.ts';

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
  expect(await waiting.add({ request: REQUEST, record: by('anna'), shown: SHOWN })).toBe(true);
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
    expect(await waiting.add({ request: REQUEST, record: by('eve'), shown: SHOWN })).toBe(true);
    expect(await waiting.get(ID)).toMatchObject({ record: by('eve'), approvals: [] });
  });

  it('may be asked again by who asked, with what is good for longer, and by nobody else', async () => {
    const longer = tokenEnding(1);
    await waiting.approve(ID, by('bob'));
    expect(await waiting.add({ request: REQUEST, record: by('eve'), shown: longer })).toBe(true);
    expect(await waiting.get(ID)).toMatchObject({ record: by('anna'), shown: SHOWN });
    expect(await waiting.add({ request: REQUEST, record: by('anna'), shown: longer })).toBe(true);
    expect(await waiting.get(ID)).toMatchObject({ record: by('anna'), shown: longer, approvals: [by('bob')] });
    const other = intentRequest.parse({ ...REQUEST, mode: 'suspend' });
    expect(await waiting.add({ request: other, record: by('anna', other), shown: SHOWN })).toBe(false);
  });

  it('that a former broker kept, without what it was asked with, is nobody’s to approve', async () => {
    await sql`update broker_requests set shown = null`.execute(store.db);
    expect([await waiting.get(ID), await waiting.all(), await waiting.approve(ID, by('bob'))]).toEqual([undefined, [], false]);
  });
});
