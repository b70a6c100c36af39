import { expect, it } from 'vitest';
import { hrefOf, parseRoute } from './route.ts';

const ID = '01932c07-0000-7000-8000-000000000002';

it.each([
  ['', { page: 'migrations' }],
  ['#/', { page: 'migrations' }],
  ['#/migrations', { page: 'migrations' }],
  [`#/migrations/${ID}`, { page: 'migration', migration: ID, tab: 'events' }],
  [`#/migrations/${ID}/state`, { page: 'migration', migration: ID, tab: 'state' }],
  ['#/keys', { page: 'keys' }],
  ['#/peers', { page: 'peers' }],
  ['#/hosts', { page: 'hosts' }],
  ['#/migrations/..', { page: 'unknown' }],
  [`#/migrations/${ID}/nothing`, { page: 'unknown' }],
  [`#/migrations/${ID}/state/more`, { page: 'unknown' }],
  ['#/keys/x', { page: 'unknown' }],
  ['#/nothing', { page: 'unknown' }],
])('%s', (hash, route) => {
  const parsed = parseRoute(hash);
  expect(parsed).toEqual(route);
  if (parsed.page !== 'unknown') expect(parseRoute(hrefOf(parsed))).toEqual(parsed);
});
