import { keyId } from '@carnet/events';
import type { KeyRecord } from '@carnet/keys';
import { expect, it } from 'vitest';
import { DISK_KEY, MEMORY_KEY, START } from '../../../../libs/saga/src/testing.ts';
import { keyRows } from './key-row.ts';

const held = (key: string, arrival: number, state: string) =>
  ({ key: keyId.parse(key), version: 1, arrival, state, tenant: 'default', createdAt: START, changedAt: START }) as KeyRecord;
const RECORDS = [held(DISK_KEY, 2, 'active'), held(MEMORY_KEY, 0, 'destroyed'), held(DISK_KEY, 0, 'destroyed')];

/** A VM uses the disk's key; nobody uses the memory's any more. */
const keys = {
  list: async (filter: { readonly only?: 'newest' } = {}) => (filter.only === 'newest' ? RECORDS.slice(0, 2) : RECORDS),
  consumersOf: async () => new Map([[keyId.parse(DISK_KEY), ['vm:one']]]),
  reportedCompromised: async () => new Map(),
};
const shown = async (former?: boolean) =>
  (await keyRows(keys, former === undefined ? {} : { former })).map((row) => [row.key, row.arrival, row.current, row.consumers]);

it('lists the holding that counts, with those who use it', async () => {
  expect(await shown()).toEqual([
    [DISK_KEY, 2, true, ['vm:one']],
    [MEMORY_KEY, 0, true, []],
  ]);
});

it('says of former holdings that they are, and that nobody uses them', async () => {
  expect(await shown(true)).toEqual([
    [DISK_KEY, 2, true, ['vm:one']],
    [MEMORY_KEY, 0, true, []],
    [DISK_KEY, 0, false, []],
  ]);
});
