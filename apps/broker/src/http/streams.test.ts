import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SHOWN } from '../users/testing/shown.ts';
import type { ByToken } from '../users/users.ts';
import { STREAMS_MAX } from './limits.ts';
import { createDoorsWorld, type DoorsWorld } from './testing/doors-world.ts';
import { type FakeService, fakeService } from './testing/fake-service.ts';

let world: DoorsWorld;
let fake: FakeService;
let port: number;

beforeAll(async () => {
  world = await createDoorsWorld();
  fake = fakeService();
  port = (await world.open(fake.service)).token;
}, 60_000);
afterAll(() => world.close());

const open = (path: string, headers: Readonly<Record<string, string>> = {}): Promise<IncomingMessage> =>
  world.stream(port, { token: world.tokenOf('auditor') }, { path, headers });

/** Ids of the next entries of a stream, without ending it. */
async function ids(response: IncomingMessage, count: number): Promise<readonly string[]> {
  let text = '';
  const found = (): readonly string[] => [...text.matchAll(/^id: (.*)$/gm)].map((match) => match[1] ?? '');
  response.setEncoding('utf8');
  response.on('data', (part: string) => {
    text += part;
  });
  await expect.poll(() => found().length, { timeout: 5_000 }).toBeGreaterThanOrEqual(count);
  return found();
}

describe('/v1/follow', () => {
  it('sends what stands in the ledgers, then what comes', async () => {
    const response = await open('/v1/follow');
    expect(response.headers['content-type']).toBe('text/event-stream');
    expect(await ids(response, 2)).toEqual(['1.0', '2.0']);
    fake.place(3);
    expect(await ids(response, 1)).toEqual(['3.0']);
    response.destroy();
  });

  it.each([
    ['Last-Event-ID', '/v1/follow', { 'last-event-id': '2.0' }],
    ['?after=', '/v1/follow?after=2.0', {}],
    ['Last-Event-ID, even when the address says otherwise', '/v1/follow?after=0.0', { 'last-event-id': '2.0' }],
  ])('goes on after %s', async (_, path, headers) => {
    const response = await open(path, headers as Record<string, string>);
    expect((await ids(response, 1))[0]).toBe('3.0');
    response.destroy();
  });

  it('tells a reader of a quiet ledger at once that it is connected', async () => {
    const response = await open('/v1/follow?after=99.0');
    expect(response.statusCode).toBe(200);
    response.destroy();
  });

  it('ends when the ledgers cannot be read, so that the reader comes back', async () => {
    const { service } = fakeService({
      events: async () => {
        throw new Error('no database');
      },
    });
    const { token } = await world.open(service);
    const response = await world.stream(token, { token: world.tokenOf('auditor') }, { path: '/v1/follow' });
    for await (const part of response) expect(part).toBe('');
    expect(response.complete).toBe(true);
  });
});

it('a reader that leaves while it is judged keeps no place: others of its name come in', async () => {
  const judged = Promise.withResolvers<undefined>();
  let asked = 0;
  const slow: ByToken = async () => {
    asked += 1;
    if (asked <= STREAMS_MAX) await judged.promise;
    return { principal: 'auditor', via: 'token', credential: SHOWN };
  };
  const { token } = await world.open(fake.service, slow);
  const leavers = Array.from({ length: STREAMS_MAX }, () =>
    connect({
      host: '127.0.0.1',
      port: token,
      ca: readFileSync(join(world.dir, 'root.pem')),
      servername: 'broker.csp-a.example',
    }),
  );
  for (const one of leavers) one.on('error', () => undefined).write('GET /v1/follow HTTP/1.1\r\nhost: x\r\n\r\n');
  await expect.poll(() => asked, { timeout: 5_000 }).toBe(STREAMS_MAX);
  for (const one of leavers) one.destroy();
  // Their sockets are closed at the server, too, before it goes on with them.
  await new Promise((resolve) => setTimeout(resolve, 200));
  judged.resolve(undefined);
  const response = await world.stream(token, { token: 'any' }, { path: '/v1/follow' });
  expect(response.statusCode).toBe(200);
  response.destroy();
});

describe('/v1/export', () => {
  it('sends every line', async () => {
    const response = await open('/v1/export?peer=csp-b.example');
    response.setEncoding('utf8');
    let text = '';
    for await (const part of response) text += String(part);
    expect(text).toBe('{"carnet":"ledger-export"}\n{"carnet":"end-of-export"}\n');
  });

  it('is cut, not ended, when it fails half way', async () => {
    const { service } = fakeService({
      exportLedgers: async function* () {
        yield '{"carnet":"ledger-export"}';
        throw new Error('no database');
      },
    });
    const { token } = await world.open(service);
    const read = async () => {
      const response = await world.stream(token, { token: world.tokenOf('auditor') }, { path: '/v1/export' });
      for await (const part of response) expect(String(part)).toContain('ledger-export');
    };
    await expect(read()).rejects.toThrow();
  });
});
