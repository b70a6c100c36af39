import type { EventData } from '@carnet/events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { begin, digestOfData, inlineProcess, openSide, record, type Side, snapshot, someDigest } from '../testing/two-sides.ts';

let a: Side;
let b: Side;
beforeAll(async () => {
  [a, b] = await Promise.all([openSide({ process: inlineProcess() }), openSide({ process: inlineProcess() })]);
});
afterAll(async () => {
  await a.close();
  await b.close();
});

describe('an acknowledgement that is not this one', () => {
  it('is refused with its code, and the release stays impossible', async () => {
    const story = await begin(a, b);
    const { migration, epoch: e } = story.handover;
    const mine = await record(a, await a.keys.deposit(story));
    if (!mine.ok) throw new Error(mine.code);
    const deposit = { digest: digestOfData(mine.value), data: mine.value };
    const ack = await record(b, await b.keys.acknowledge({ handover: story.handover, deposit, artifacts: story.disks }));
    if (!ack.ok) throw new Error(ack.code);
    const [one, two] = ack.value.macs;
    if (one === undefined || two === undefined) throw new Error('two macs expected');
    const before = await snapshot(a);
    const bad: readonly (readonly [string, EventData<'DepositAcknowledged'>])[] = [
      ['DEPOSIT_DIFFERS', { ...ack.value, deposit: someDigest() }],
      ['ACKNOWLEDGEMENT_INCOMPLETE', { ...ack.value, macs: [one] }],
      ['ACKNOWLEDGEMENT_INCOMPLETE', { ...ack.value, macs: [two, one] }],
      ['ACKNOWLEDGEMENT_MAC_WRONG', { ...ack.value, macs: [one, { ...two, mac: someDigest() }] }],
      [
        'ACKNOWLEDGEMENT_MAC_WRONG',
        {
          ...ack.value,
          macs: [
            { ...one, mac: two.mac },
            { ...two, mac: one.mac },
          ],
        },
      ],
    ];
    for (const [code, data] of bad) {
      const request = { migration, epoch: e, deposit: deposit.digest, acknowledged: { digest: digestOfData(data), data } };
      expect(await record(a, await a.keys.confirmAcknowledgement(request))).toMatchObject({ ok: false, code });
    }
    const early = {
      migration,
      epoch: e,
      ready: someDigest(),
      sealed: someDigest(),
      verified: someDigest(),
      deposit: deposit.digest,
      acknowledged: digestOfData(ack.value),
      roots: [],
    };
    expect(await record(a, await a.keys.release(early))).toMatchObject({ ok: false, code: 'DEPOSIT_STATE' });
    expect(await snapshot(a)).toBe(before);
  }, 60_000);
});
