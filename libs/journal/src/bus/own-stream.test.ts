import { GENESIS, ledgerStream } from '@carnet/events';
import { JetStreamApiError, type JetStreamManager, type StoredMsg } from '@nats-io/jetstream';
import { expect, it } from 'vitest';
import { OWN_STREAM_MESSAGES_MAX, RESEND_MAX, UNMARKED_MAX } from '../limits.ts';
import { peek } from '../peek.ts';
import { A, B, newMigration } from '../testing/world.ts';
import { ownOnBus } from './own-stream.ts';

/** As far as it is looked at: what it claims to be. */
const claimed = {
  v: 1,
  id: newMigration(),
  publisher: A,
  audience: B,
  prev: GENESIS,
  causes: [],
  time: '2026-11-30T10:00:00.000Z',
  type: 'PolicyAnnounced',
};
const envelopeOf = (seq: number): Uint8Array => {
  const payload = Buffer.from(JSON.stringify({ ...claimed, seq: String(seq) })).toString('base64');
  return Buffer.from(JSON.stringify({ payload }));
};

/** A stream that holds these events in this order, and how many questions it was asked. */
function streamOf(seqs: readonly number[]) {
  let asked = 0;
  const stored = (at: number): StoredMsg | null =>
    seqs[at - 1] === undefined ? null : ({ seq: at, data: envelopeOf(seqs[at - 1] ?? 0) } as StoredMsg);
  const manager = {
    streams: {
      getMessage: async (name: string, of: { readonly seq?: number }) => {
        asked += 1;
        expect(name).toBe(ledgerStream(A, B));
        return stored(of.seq ?? seqs.length);
      },
    },
  } as unknown as JetStreamManager;
  const onBus = ownOnBus(manager, A, B);
  return {
    asked: () => asked,
    beyond: async (after: number, told = 0) =>
      (await onBus(after, told)).map(({ envelope }) => Number(peek(envelope).seq)).toSorted((a, b) => a - b),
  };
}
const upTo = (n: number, from = 1): readonly number[] => Array.from({ length: n - from + 1 }, (_, i) => from + i);

it.each<readonly [string, readonly number[], number, readonly number[]]>([
  ['nothing at all', [], 0, []],
  ['what is here', upTo(9), 9, []],
  ['what comes next', upTo(9), 6, [7, 8, 9]],
  ['an older one last, of a publisher that died while it told again', [...upTo(9), 5], 6, [7, 8, 9]],
  ['one batch of older ones last', [...upTo(300), ...upTo(250)], 298, [299, 300]],
  ['only what does not follow', [9], 6, [9]],
  ['more than is sent at once: of that, what comes next', upTo(1_000), 500, upTo(500 + RESEND_MAX, 501)],
  ['far more, and nothing that comes next: the newest', upTo(900, 600), 2, [900]],
])('of a stream that holds %s, what is beyond an event is found', async (_, seqs, after, beyond) => {
  expect(await streamOf(seqs).beyond(after)).toEqual(beyond);
});

it('a stream that is being filled with older ones is looked through, however many', async () => {
  expect(await streamOf([...upTo(2_000), ...upTo(1_500)]).beyond(1_999)).toEqual([2_000]);
});

it('the search is bounded, and not repeated in vain', async () => {
  const stream = streamOf(upTo(OWN_STREAM_MESSAGES_MAX * 2, 5));
  expect(await stream.beyond(2)).toEqual([OWN_STREAM_MESSAGES_MAX * 2]);
  const once = stream.asked();
  expect(once).toBeLessThan(OWN_STREAM_MESSAGES_MAX * 1.1);
  expect(await stream.beyond(2)).toEqual([OWN_STREAM_MESSAGES_MAX * 2]);
  expect(stream.asked()).toBe(once + 1);
  const level = streamOf(upTo(5_000));
  await level.beyond(5_000);
  expect(level.asked()).toBeLessThan(UNMARKED_MAX * 1.3);
});

it('a stream that nobody has made holds nothing; any other failure is one', async () => {
  const failing = (code: number) =>
    ownOnBus(
      {
        streams: {
          getMessage: async () => Promise.reject(new JetStreamApiError({ code: 404, err_code: code, description: 'no' })),
        },
      } as unknown as JetStreamManager,
      A,
      B,
    );
  expect(await failing(10_059)(0, 0)).toEqual([]);
  await expect(failing(10_003)(0, 0)).rejects.toThrow();
});
