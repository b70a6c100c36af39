import type { NatsConnection } from 'nats';
import { expect, it } from 'vitest';
import type { Exchange, Heard, Question } from '../exchange.ts';
import { RESEND_PAUSE_MS } from '../limits.ts';
import { A, B, memoryLog, testRandom } from '../testing/world.ts';
import { openChannel } from './channel.ts';

/** One side of a channel, and what it says to questions of the peer, whose names are their bytes. */
function side() {
  const said: string[] = [];
  const stop = new AbortController();
  let hear: (text: string) => void = () => undefined;
  const connection = {
    subscribe: (
      _: string,
      { callback }: { readonly callback: (error: null, message: { readonly data: Uint8Array }) => void },
    ) => {
      hear = (text) => callback(null, { data: Buffer.from(text) });
      return { unsubscribe: () => undefined };
    },
    publish: (_: string, data: Uint8Array) => void said.push(Buffer.from(data).toString()),
    isClosed: () => false,
  } as unknown as NatsConnection;
  const answerTo = (question: Question): Heard => ({
    replies: [Buffer.from(`answer to ${question}`), Buffer.from('with an event')],
    to: question,
    received: 'level',
  });
  const exchange = {
    head: async () => [],
    checkpoint: async () => [],
    challengeIfInDoubt: async () => [],
    hear: async (bytes: Uint8Array) => ({ ok: true, value: answerTo(Buffer.from(bytes).toString() as Question) }),
  } as unknown as Exchange;
  const channel = openChannel({
    self: A,
    peer: B,
    connection,
    isUp: () => true,
    exchange,
    resent: async () => [],
    random: testRandom,
    log: memoryLog(),
    signal: stop.signal,
    hushed: () => undefined,
  });
  const running = channel.run();
  return {
    said,
    hear: (question: Question) => hear(question),
    stop: async () => {
      stop.abort();
      await running;
    },
  };
}

it('two questions of different kinds in one moment are both answered, and the same one again only after a pause', async () => {
  const { said, hear, stop } = side();
  const answered = async (): Promise<readonly string[]> => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    return said.filter((text) => text.startsWith('answer')).splice(0);
  };
  hear('ask');
  hear('challenge');
  expect(await answered()).toEqual(['answer to ask', 'answer to challenge']);
  hear('challenge');
  hear('ask');
  expect(await answered()).toHaveLength(2);
  await new Promise((resolve) => setTimeout(resolve, RESEND_PAUSE_MS));
  hear('challenge');
  hear('ask');
  expect((await answered()).slice(2)).toEqual(['answer to challenge', 'answer to ask']);
  await stop();
});
