import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAccess } from './access.ts';
import { createConsoleApp } from './app.ts';
import { type LedgerFeed, startLedgerFeed } from './ledger-feed.ts';
import { entry, scriptedClient, silentLog } from './testing/scripted.ts';

const broker = scriptedClient();
const access = createAccess();
const asset = (text: string, type: string) => ({ bytes: Buffer.from(text), type, cacheControl: 'no-cache' });
const assets = new Map([
  ['/', asset('<!doctype html>', 'text/html; charset=utf-8')],
  ['/assets/a.js', asset('1', 'text/javascript; charset=utf-8')],
]);
let app: FastifyInstance;
let feed: LedgerFeed;
let port = 0;

beforeAll(async () => {
  feed = startLedgerFeed({ broker, log: silentLog, now: () => new Date(), probeMs: 50 });
  app = createConsoleApp({ domain: 'csp-a.example', broker, feed, access, assets, log: silentLog });
  await app.listen({ host: '127.0.0.1', port: 0 });
  port = (app.server.address() as AddressInfo).port;
});
afterAll(async () => {
  await app.close();
  await feed.stop();
});

interface Asked {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}
interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** `node:http`, not `fetch`: paths and Host must arrive exactly as written. */
const ask = ({ path, method = 'GET', headers = {} }: Asked, until?: (body: string) => boolean): Promise<Answered> =>
  new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let body = '';
      const done = (): void => resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      response.on('data', (part: Buffer) => {
        body += part.toString();
        if (until?.(body) !== true) return;
        done();
        outgoing.destroy();
      });
      response.on('end', done);
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
const withToken = { authorization: `Bearer ${access.token}` };

describe('the door', () => {
  it('serves the page without the token, under a policy that lets nothing in or out', async () => {
    const { status, headers } = await ask({ path: '/' });
    expect(status).toBe(200);
    expect(headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self';/);
    expect(headers['content-security-policy']).not.toMatch(/unsafe|http|\*/);
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
    });
    expect(await ask({ path: '/assets/a.js' })).toMatchObject({ status: 200, body: '1' });
    expect(await ask({ path: '/livez' })).toMatchObject({ status: 200, body: 'ok\n' });
  });

  it.each([
    '/api/console',
    '/api/key-events',
    '/api/follow',
    '/api/migrations',
    '/%61pi/console',
    '/%61pi/follow',
    '//api/console',
    '/api/../api/console',
  ])('gives nothing of %s without the token', async (path) => {
    const before = broker.asked.length;
    const { status, body } = await ask({ path });
    expect([401, 404]).toContain(status);
    expect(body).not.toContain('csp-a.example');
    expect(broker.asked.slice(before).filter((asked) => asked !== '/v1/migrations?limit=1')).toEqual([]);
  });

  it.each(['evil.example', `evil.example:${'1'}`, '127.0.0.1'])('refuses the name %s, whatever it resolves to', async (host) => {
    expect(await ask({ path: '/api/console', headers: { ...withToken, host } })).toMatchObject({ status: 421 });
    expect(await ask({ path: '/', headers: { host } })).toMatchObject({ status: 421 });
  });

  it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD'])('refuses %s', async (method) => {
    expect((await ask({ path: '/api/migrations', method, headers: withToken })).status).toBe(405);
  });

  it.each([
    '/../package.json',
    '/..%2f..%2fpackage.json',
    '/assets/../../package.json',
    '/assets/',
    '/nothing',
  ])('has no file %s', async (path) => {
    expect((await ask({ path })).status).toBe(404);
  });
});

describe('relayed answers', () => {
  it('are the broker’s, for paths on the list', async () => {
    broker.answers({ ok: true, value: { items: [{ domain: 'csp-b.example' }] } });
    const { status, headers, body } = await ask({ path: '/api/peers', headers: withToken });
    expect({ status, body: JSON.parse(body) }).toEqual({ status: 200, body: { items: [{ domain: 'csp-b.example' }] } });
    expect(headers['cache-control']).toBe('no-store');
    expect(broker.asked).toContain('/v1/peers');
    expect(await ask({ path: '/api/export', headers: withToken })).toMatchObject({ status: 404 });
    expect(broker.asked).not.toContain('/v1/export');
  });

  it('keep the code of a refusal', async () => {
    broker.answers({ ok: false, code: 'UNREACHABLE', text: 'down' });
    const { status, body } = await ask({ path: '/api/peers', headers: withToken });
    broker.answers({ ok: true, value: { items: [] } });
    expect({ status, body: JSON.parse(body) }).toEqual({ status: 502, body: { code: 'UNREACHABLE', text: 'down' } });
  });

  it('say whose console this is', async () => {
    expect(JSON.parse((await ask({ path: '/api/console', headers: withToken })).body)).toMatchObject({ domain: 'csp-a.example' });
  });
});

describe('the feed', () => {
  const follow = (until: (body: string) => boolean, last?: string): Promise<Answered> =>
    ask({ path: '/api/follow', headers: { ...withToken, ...(last === undefined ? {} : { 'last-event-id': last }) } }, until);

  it('goes on after Last-Event-ID, then live, and tells its health', async () => {
    broker.publish(entry(1, 'KeyAnnounced'));
    broker.publish(entry(2));
    await expect.poll(() => feed.recent.end).toBe(2);
    const following = follow((body) => body.includes('id: 3.0'), '1.0');
    setTimeout(() => broker.publish(entry(3)), 30);
    const { body, headers } = await following;
    expect(headers['content-type']).toBe('text/event-stream');
    expect(body).not.toContain('id: 1.0');
    expect(body.indexOf('id: 2.0\nevent: ledger-entry\ndata: {')).toBeLessThan(
      body.indexOf('id: 3.0\nevent: ledger-entry\ndata: {'),
    );
    expect(body).toContain('event: feed\ndata: {"state":"live"');
  });

  it('starts now without it, and says reset when it is no longer known', async () => {
    expect((await follow((body) => body.includes('event: feed'))).body).not.toContain('ledger-entry');
    expect((await follow((body) => body.includes('event: feed'), 'long-gone')).body).toMatch(/^event: reset/);
    expect(JSON.parse((await ask({ path: '/api/key-events', headers: withToken })).body)).toEqual({
      items: [entry(1, 'KeyAnnounced')],
    });
  });
});
