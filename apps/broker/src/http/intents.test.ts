import { intentRequest, requestRecord } from '@carnet/events';
import { expect, it } from 'vitest';
import { contentDigest } from '../service/request-content.ts';
import { SHOWN } from '../users/testing/shown.ts';
import { intendFromCloudEvent } from './intents.ts';
import { INTENT_TYPE } from './schemas.ts';
import { fakeService, MIGRATION, VM } from './testing/fake-service.ts';

const data = intentRequest.parse({ migration: MIGRATION, vm: VM, target: 'csp-b.example', mode: 'cold' });
const asked = { specversion: '1.0', id: 'one', source: 'test', type: INTENT_TYPE, data } as const;

it.each([
  ['a certificate', { principal: 'spiffe://csp-a.example/operator', via: 'mtls' }, {}],
  ['a token of an identity provider', { principal: 'https://issuer/eve', via: 'token' }, {}],
  [
    'an API key, with what it is good for',
    { principal: 'api-key/nightly', via: 'token', onlyRoles: ['scheduler'] },
    { roles: ['scheduler'] },
  ],
] as const)('who asks by %s is named as a ledger has it', async (_, caller, more) => {
  const { service, calls } = fakeService();
  await intendFromCloudEvent(service, { ...caller, credential: SHOWN }, asked);
  const { principal, via } = caller;
  const record = { principal, via, digest: contentDigest(data), ...more };
  expect(calls).toEqual([['intend', data, record, SHOWN]]);
  expect(requestRecord.parse(record)).toEqual(record);
});
