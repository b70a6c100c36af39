import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StreamRefused } from './answer.ts';
import { type BrokerClient, type ClientOptions, connectBroker } from './client.ts';
import { TRIES_MAX } from './limits.ts';
import { answer, openStandIn, type StandIn } from './testing/stand-in.ts';

let broker: StandIn;
const open: BrokerClient[] = [];
beforeAll(async () => {
  broker = await openStandIn(Date.now());
}, 60_000);
afterAll(() => {
  for (const client of open) client.close();
  broker.close();
});

function connect(options: ClientOptions = {}, changed: Partial<StandIn['address']> = {}): BrokerClient {
  const client = connectBroker(
    { ...broker.address, ...changed },
    { patience: { firstRetryMs: 1, answerMs: 500, silenceMs: 200 }, ...options },
  );
  open.push(client);
  return client;
}

async function take<T>(from: AsyncIterable<T>, count: number): Promise<readonly T[]> {
  const taken: T[] = [];
  for await (const one of from) {
    taken.push(one);
    if (taken.length === count) break;
  }
  return taken;
}

describe('answers', () => {
  it('come as values, with the token sent', async () => {
    broker.script((_, response) => answer(response, 200, { items: [1] }));
    expect(await connect().get('/v1/keys')).toEqual({ ok: true, value: { items: [1] } });
    expect(broker.seen[0]).toMatchObject({
      method: 'GET',
      path: '/v1/keys',
      headers: { authorization: 'Bearer a-token-of-the-scheduler' },
    });
  });

  it('refusals pass through: code, text and reasons', async () => {
    const refusal = { code: 'POLICY_DENIES', text: 'no', reasons: [{ code: 'VM_NOT_ALLOWED', text: 'not that one' }] };
    broker.script((_, response) => answer(response, 403, refusal));
    expect(await connect().post('/v1/intents', {})).toEqual({ ok: false, ...refusal });
    expect(broker.seen.length, 'a refusal is an answer: not tried again').toBe(1);
  });

  it('is asked again after as long as the broker says, where that is safe', async () => {
    const away = { code: 'DATABASE_UNAVAILABLE', text: 'away' };
    broker.script((_, response) => {
      if (broker.seen.length > 1) return answer(response, 200, { items: [] });
      return response.writeHead(503, { 'retry-after': '0' }).end(JSON.stringify(away));
    });
    expect(await connect().get('/v1/keys')).toEqual({ ok: true, value: { items: [] } });
    broker.script((_, response) => response.writeHead(503, { 'retry-after': '3' }).end(JSON.stringify(away)));
    expect(await connect().act('POST', '/v1/vms', {})).toEqual({ ok: false, ...away, retryAfterMs: 3_000 });
    expect(broker.seen.length, 'what could be done twice is asked once').toBe(1);
  });

  it.each([
    ['no JSON', 200, '<html>'],
    ['a number', 200, '7'],
    ['an error without a code', 502, '{"error":"Bad Gateway"}'],
  ])('%s is no answer of a broker', async (_, status, text) => {
    broker.script((__, response) => response.writeHead(status).end(text));
    expect(await connect().get('/v1/keys')).toMatchObject({ ok: false, code: 'ANSWER_MALFORMED' });
  });
});

describe('a broker that does not answer', () => {
  it('is asked a bounded number of times, and each is told', async () => {
    const told: string[] = [];
    broker.script((_, response) => response.destroy());
    expect(await connect({ onRetry: (text) => told.push(text) }).post('/v1/intents', {})).toMatchObject({
      ok: false,
      code: 'UNREACHABLE',
    });
    expect([broker.seen.length, told.length]).toEqual([TRIES_MAX, TRIES_MAX - 1]);
  });

  it('and then does, is not seen to have been away', async () => {
    broker.script((_, response) => (broker.seen.length < 3 ? response.destroy() : answer(response, 200, {})));
    expect(await connect().get('/v1/keys')).toEqual({ ok: true, value: {} });
  });

  it('is not waited for without end', async () => {
    broker.script(() => undefined);
    expect(await connect({ patience: { answerMs: 20, firstRetryMs: 1 } }).get('/v1/hosts')).toMatchObject({
      code: 'UNREACHABLE',
    });
  });

  it('that speaks another protocol is not waited for at all', async () => {
    broker.script((_, response) => void response.writeHead(101, { connection: 'upgrade', upgrade: 'other' }).end());
    expect(await connect({ patience: { answerMs: 60_000, firstRetryMs: 1 } }).get('/v1/hosts')).toMatchObject({
      code: 'UNREACHABLE',
    });
  });

  it('is asked only once for what could be done twice', async () => {
    broker.script((_, response) => response.destroy());
    expect(await connect().act('POST', '/v1/vms', {})).toMatchObject({ ok: false, code: 'UNREACHABLE' });
    // A request that an earlier test gave up may arrive late on a busy machine.
    expect(broker.seen.filter(({ path }) => path === '/v1/vms').length).toBe(1);
  });

  it('is given up at once when the caller interrupts', async () => {
    const interrupt = new AbortController();
    broker.script(() => interrupt.abort());
    expect(await connect({ signal: interrupt.signal }).get('/v1/peers')).toMatchObject({ ok: false, code: 'INTERRUPTED' });
    expect(broker.seen.filter(({ path }) => path === '/v1/peers').length).toBe(1);
  });
});

describe('the broker is checked', () => {
  it.each([
    ['under another root', { ca: 'none' }],
    ['with another name', { serverName: 'broker.csp-b.example' }],
  ])('%s: nothing is sent', async (_, changed) => {
    broker.script((__, response) => answer(response, 200, {}));
    expect(await connect({}, changed).get('/v1/keys')).toMatchObject({ ok: false, code: 'UNREACHABLE' });
    expect(broker.seen).toEqual([]);
  });
});

describe('follow', () => {
  const event = (n: number): string => `id: ${n}.0\nevent: ledger-entry\ndata: {"n":${n}}\n\n`;

  it('goes on over a broken connection from the last cursor', async () => {
    const told: string[] = [];
    broker.script(({ headers }, response) => {
      const after = Number(String(headers['last-event-id'] ?? '0').split('.')[0]);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`: keepalive\n\n${event(after + 1)}`, () => response.destroy());
    });
    expect(await take(connect({ onRetry: (text) => told.push(text) }).follow(''), 3)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    expect(broker.seen.map(({ headers }) => headers['last-event-id'])).toEqual([undefined, '1.0', '2.0']);
    expect(told.length).toBe(2);
  });

  it('goes on when the broker ends the stream, and when it falls silent', async () => {
    broker.script((_, response) => {
      response.writeHead(200);
      response.write(event(broker.seen.length));
      if (broker.seen.length === 1) response.end();
    });
    expect(await take(connect().follow('0.0'), 3)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
  });

  it('throws when the broker refuses', async () => {
    broker.script((_, response) => answer(response, 403, { code: 'ROLE_MISSING', text: 'no' }));
    await expect(take(connect().follow(''), 1)).rejects.toThrow(StreamRefused);
  });

  it('ends with its signal', async () => {
    const stop = new AbortController();
    broker.script((_, response) => {
      response.writeHead(200).write(event(1));
    });
    const seen: unknown[] = [];
    for await (const one of connect().follow('', stop.signal)) {
      seen.push(one);
      stop.abort();
    }
    expect(seen).toEqual([{ n: 1 }]);
  });
});

describe('lines', () => {
  it('come one by one', async () => {
    broker.script((_, response) => {
      response.write('{"a":1}\n{"b"');
      response.end(':2}\n');
    });
    expect(await take(connect().lines('/v1/export'), 3)).toEqual(['{"a":1}', '{"b":2}']);
  });

  it('throw when the stream is cut', async () => {
    broker.script((_, response) => {
      response.write('{"a":1}\n', () => response.destroy());
    });
    await expect(take(connect().lines('/v1/export'), 2)).rejects.toThrow();
  });

  it('are bounded', async () => {
    broker.script((_, response) => response.end('x'.repeat(2_000_000)));
    // A machine that is busy takes longer over 2 MB than a silence of the other tests may last.
    const patience = { firstRetryMs: 1, answerMs: 30_000, silenceMs: 30_000 };
    await expect(take(connect({ patience }).lines('/v1/export'), 1)).rejects.toThrow('exceeds');
  });
});
