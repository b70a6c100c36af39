import { vouchedFor } from './intents.ts';
import * as p from './policy-schemas.ts';
import { present } from './present.ts';
import { done, operators, type Route, readers, route, takesNothing } from './route.ts';
import * as s from './schemas.ts';

/** The rules, what waits for a second person, and what travels with a VM. */
export const policyRoutes: readonly Route[] = [
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/requests',
    summary: 'Requests that wait for a second person',
    roles: readers,
    answer: p.requestRows,
    handle: async (service) => done({ items: await service.requests() }),
  }),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/requests/:migration/approve',
    summary: "A second person's yes, at the door or in an own signature: the request is taken at once. Who asked cannot approve",
    roles: ['operator', 'scheduler', 'custodian'],
    params: s.migrationParams,
    body: p.approvalRequest,
    answer: s.intentAccepted,
    handle: (service, { params, caller, body: { signed } }) =>
      service.approve(params.migration, signed === undefined ? vouchedFor(caller) : { via: 'signature', ...signed }),
  }),
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/policies',
    summary: 'Policy sets that this CSP announced in its ledgers',
    roles: readers,
    answer: p.policySetRows,
    handle: async (service) => done({ items: await service.policySets() }),
  }),
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/policy',
    summary: 'The policy set that decides now: policies, and the files that give the same set elsewhere',
    roles: readers,
    answer: p.currentPolicy,
    handle: async (service) => done(service.currentPolicy()),
  }),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/vms/:home/:uuid/restrictions',
    summary: 'Tighten what travels with a VM, or set a legal hold. Loosening is an administrator’s, at the home of the VM alone',
    roles: operators,
    params: s.vmParams,
    body: p.restrictionChange,
    answer: s.vmRow,
    handle: (service, { params: vm, body, caller }) => service.restrictVm(vm, present(body), caller),
  }),
];
