import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { statusOf, upstreamOf } from './upstream.ts';

const ID = '01932c07-0000-7000-8000-000000000002';
const none = new URLSearchParams();
const upstream = (path: string, query = ''): string | undefined => upstreamOf(path, new URLSearchParams(query));

describe('what is relayed', () => {
  it.each([
    ['/migrations', '', '/v1/migrations'],
    ['/migrations', 'limit=500&open=true', '/v1/migrations?limit=500&open=true'],
    [`/migrations/${ID}`, '', `/v1/migrations/${ID}`],
    [`/migrations/${ID}/diagnosis`, '', `/v1/migrations/${ID}/diagnosis`],
    ['/events', `migration=${ID}`, `/v1/events?migration=${ID}`],
    [`/events/${'ab'.repeat(32)}`, '', `/v1/events/${'ab'.repeat(32)}`],
    ['/keys/4b4e28ba-2fa1-41d2-883f-0016d3cca427', '', '/v1/keys/4b4e28ba-2fa1-41d2-883f-0016d3cca427'],
    ['/keys', '', '/v1/keys'],
    ['/peers', '', '/v1/peers'],
    ['/hosts', '', '/v1/hosts'],
  ])('%s?%s', (path, query, expected) => expect(upstream(path, query)).toBe(expected));
});

describe('what is not relayed', () => {
  it.each([
    ['/intents', ''],
    ['/export', ''],
    ['/follow', ''],
    ['/vms', ''],
    ['/', ''],
    ['', ''],
    ['/migrations/', ''],
    [`/migrations/${ID}/cancel`, ''],
    [`/migrations/${ID}/break-glass`, ''],
    [`/migrations/${ID}/diagnosis`, 'x=1'],
    [`/migrations/${ID}/diagnosis/diagnosis`, ''],
    [`/migrations/${ID}diagnosis`, ''],
    ['/migrations/diagnosis', ''],
    ['/migrations//diagnosis', ''],
    [`/keys/${ID}/diagnosis`, ''],
    ['/migrations/../keys', ''],
    [`/migrations/%2e%2e%2fexport`, ''],
    ['/events', ''],
    ['/events', `migration=${ID}&after=1`],
    ['/migrations', 'limit=0'],
    ['/migrations', 'limit=10000'],
    ['/migrations', 'vm=x'],
    ['/keys', 'x=1'],
  ])('%s?%s', (path, query) => expect(upstream(path, query)).toBeUndefined());

  it('anything that says more than its pattern', () => {
    fc.assert(
      fc.property(fc.constantFrom('/migrations/', '/events/', '/keys/'), fc.string({ minLength: 1 }), (prefix, rest) => {
        const found = upstreamOf(`${prefix}${rest}`, none);
        expect(found === undefined || /^\/v1\/(migrations|events|keys)\/[0-9a-f-]{36,64}$/i.test(found)).toBe(true);
      }),
    );
  });
});

it('gives refusals a status', () => {
  expect(['UNREACHABLE', 'ROLE_MISSING', 'MIGRATION_UNKNOWN', 'INTERNAL', 'LEDGER_QUARANTINED'].map(statusOf)).toEqual([
    502, 403, 404, 500, 409,
  ]);
});
