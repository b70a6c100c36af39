import { keyId } from '@carnet/events';
import type { KeyRecord, KeyView } from '@carnet/keys';
import { describe, expect, it } from 'vitest';
import { DISK_KEY, MEMORY_KEY, START } from '../../../../libs/saga/src/testing.ts';
import { keyDetail, keyRows } from './key-row.ts';

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

describe('how long a key is good', () => {
  const line = (arrival: number, to: string, at: string) => ({ arrival, to, at, actor: 'x', reason: 'y', digest: 'z' });
  /** It was here before, left, and came back in epoch 2. */
  const view = (...lines: readonly object[]) =>
    ({
      ...held(DISK_KEY, 2, 'active'),
      history: [line(0, 'active', '2026-01-01T00:00:00.000Z'), line(0, 'destroyed', '2026-02-01T00:00:00.000Z'), ...lines],
      historyChain: 'intact',
      holdings: [],
      consumers: [],
      reports: [],
    }) as unknown as KeyView;
  it('is reported compromised by exactly those whose reports are shown', () => {
    const report = (peer: string, to: string) => ({ event: 'e', peer, from: 'active', to, reason: 'r', at: 'now' });
    const reports = [
      report('c', 'compromised'),
      report('b', 'deactivated'),
      report('a', 'destroyed-compromised'),
      report('a', 'compromised'),
    ];
    const detail = keyDetail({ ...view(), reports } as unknown as KeyView);
    expect([detail.reportedCompromisedBy, detail.reports.map(({ peer }) => peer)]).toEqual([
      ['a', 'c'],
      ['c', 'b', 'a', 'a'],
    ]);
  });

  const validity = (...lines: readonly object[]) => {
    const { validFrom, validTo } = keyDetail(view(...lines));
    return [validFrom, validTo];
  };
  const [CAME, BACK, ENDED] = ['2026-03-01T00:00:00.000Z', '2026-03-05T00:00:00.000Z', '2026-04-01T00:00:00.000Z'];

  it.each<[string, readonly object[], readonly (string | undefined)[]]>([
    ['before its release it is good for nothing', [line(2, 'pre-activation', CAME)], [undefined, undefined]],
    [
      'from its activation here, whenever it was suspended',
      [line(2, 'active', CAME), line(2, 'suspended', BACK), line(2, 'active', BACK)],
      [CAME, undefined],
    ],
    [
      'until it was found compromised, not until it was destroyed',
      [line(2, 'active', CAME), line(2, 'compromised', BACK), line(2, 'destroyed-compromised', ENDED)],
      [CAME, BACK],
    ],
  ])('%s', (_, lines, expected) => {
    expect(validity(...lines)).toEqual(expected);
  });
});
