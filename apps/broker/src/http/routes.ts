import { apiKeyRequest } from '../users/api-keys.ts';
import { agreementRoutes } from './agreement-routes.ts';
import { certificateRoutes } from './certificate-routes.ts';
import { escrowRoutes } from './escrow-routes.ts';
import { intendFromCloudEvent } from './intents.ts';
import { keyRoutes } from './key-routes.ts';
import { peerRoutes } from './peer-routes.ts';
import { peeringRoutes } from './peering-routes.ts';
import { policyRoutes } from './policy-routes.ts';
import { present } from './present.ts';
import { done, operators, PLANS, type Route, readers, route, takesNothing } from './route.ts';
import * as s from './schemas.ts';

const CLOUD_EVENT = 'application/cloudevents+json';

const migrationRoutes: readonly Route[] = [
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/intents',
    summary: 'Ask for a migration (CloudEvents 1.0, JSON). Safe to repeat with the same `data.migration`.',
    roles: ['operator', 'scheduler'],
    contentTypes: [CLOUD_EVENT],
    body: s.intentEvent,
    answer: s.intentAccepted,
    handle: (service, { caller, body }) => intendFromCloudEvent(service, caller, body),
  }),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/plans',
    summary: 'What a migration would do, without doing it',
    roles: ['operator', 'scheduler', 'viewer'],
    contentTypes: [CLOUD_EVENT],
    body: s.plainIntentEvent,
    answer: s.plan,
    atOnce: PLANS,
    handle: (service, { caller, body }) => service.plan(body.data, caller.principal),
  }),
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/migrations',
    summary: 'Migrations, newest first',
    roles: readers,
    query: s.migrationQuery,
    answer: s.migrationRows,
    handle: async (service, { query: { limit, open, vm } }) =>
      done({ items: await service.migrations({ limit, ...present({ open, vm }) }) }),
  }),
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/migrations/:migration',
    summary: 'One migration: both sides, custody of the key, what is owed',
    roles: readers,
    params: s.migrationParams,
    answer: s.migrationDetail,
    handle: (service, { params }) => service.migration(params.migration),
  }),
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/migrations/:migration/diagnosis',
    summary: 'Where a migration stands in words: who must act, what stands in its way, what is safe to do and what is not',
    roles: readers,
    params: s.migrationParams,
    answer: s.diagnosis,
    handle: (service, { params }) => service.diagnosis(params.migration),
  }),
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/alarms',
    summary: 'Open migrations that are in doubt (key released, VM not taken) or overdue',
    roles: readers,
    answer: s.alarms,
    handle: async (service) => done({ items: await service.alarms() }),
  }),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/migrations/:migration/cancel',
    summary: 'Withdraw before the key is released; the VM goes on at its source',
    roles: operators,
    params: s.migrationParams,
    body: s.cancelRequest,
    answer: s.cancelled,
    handle: (service, { params, caller, body }) => service.cancel(params.migration, caller.principal, body.text),
  }),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/migrations/:migration/break-glass',
    summary: 'Take a VM back whose release has no answer, by the signed words of two operators and its owner; it may run twice',
    roles: operators,
    params: s.migrationParams,
    body: s.breakGlassRequest,
    answer: s.cancelled,
    handle: (service, { params, caller, body }) => service.breakGlass(params.migration, body, caller.principal),
  }),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/migrations/:migration/discard-copy',
    summary: 'At the target: destroy the copy that was stopped because the source broke the glass',
    roles: operators,
    params: s.migrationParams,
    body: s.discardRequest,
    answer: s.cancelled,
    handle: (service, { params, caller, body }) => service.discardCopy(params.migration, caller.principal, body.text),
  }),
];

const ledgerRoutes: readonly Route[] = [
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/events',
    summary: 'Events of all ledgers in the order they came to stand here; page with `after`',
    roles: readers,
    query: s.eventQuery,
    answer: s.ledgerEntries,
    handle: async (service, { query: { limit, migration, after } }) =>
      done({ items: await service.events({ limit, ...present({ migration, after }) }) }),
  }),
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/events/:digest',
    summary: 'One event by the SHA-256 of its envelope',
    roles: readers,
    params: s.digestParams,
    answer: s.ledgerEntry,
    handle: async (service, { params }) => {
      const [entry] = await service.events({ digest: params.digest, limit: 1 });
      if (entry === undefined)
        return { ok: false, code: 'EVENT_UNKNOWN', text: 'no event with this digest stands in a ledger here' };
      return done(entry);
    },
  }),
];

const machineRoutes: readonly Route[] = [
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/hosts',
    summary: 'Hypervisor hosts',
    roles: readers,
    answer: s.hostRows,
    handle: async (service) => done({ items: await service.hosts() }),
  }),
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/images',
    summary: 'Encrypted images that VMs can be created from',
    roles: readers,
    answer: s.imageRows,
    handle: async (service) => done({ items: await service.images() }),
  }),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/images',
    summary: "Register an image from the host's import directory: encrypted at once, under a key of its own",
    roles: operators,
    body: s.imageRegistration,
    answer: s.imageRow,
    handle: (service, { caller, body }) => service.registerImage(body, caller.principal),
  }),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/images/:name/verify',
    summary: 'Read every chunk of an image again and compare with its signed root',
    roles: ['operator', 'auditor'],
    params: s.imageParams,
    answer: s.imageVerdict,
    handle: (service, { params }) => service.verifyImage(params.name),
  }),
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/vms',
    summary: 'VMs that this CSP holds',
    roles: readers,
    answer: s.vmRows,
    handle: async (service) => done({ items: await service.vms() }),
  }),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/vms',
    summary: 'Create a VM on an encrypted disk',
    roles: operators,
    body: s.vmCreation,
    answer: s.vmRow,
    handle: (service, { caller, body: { image, capacityBytes, project, ...rest } }) =>
      service.createVm({ ...rest, ...present({ image, capacityBytes, project }) }, caller.principal),
  }),
  ...(['on', 'off'] as const).map((power) =>
    route({
      ...takesNothing,
      method: 'POST',
      path: `/v1/vms/:home/:uuid/${power}`,
      summary: `Switch a VM ${power}`,
      roles: operators,
      params: s.vmParams,
      answer: s.vmRow,
      handle: (service, { caller, params: vm }) => service.setVmPower(vm, power, caller.principal),
    }),
  ),
  route({
    ...takesNothing,
    method: 'DELETE',
    path: '/v1/vms/:home/:uuid',
    summary: 'Delete a VM that no migration is moving: its keys are destroyed, so its disks can never be read again',
    roles: operators,
    params: s.vmParams,
    answer: s.vmDeleted,
    handle: (service, { caller, params: vm }) => service.deleteVm(vm, caller.principal),
  }),
];

const userRoutes: readonly Route[] = [
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/apikeys',
    summary: 'API keys of the token door, ended ones included; never their values',
    roles: [],
    answer: s.apiKeyRows,
    handle: async (service) => done({ items: await service.apiKeys() }),
  }),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/apikeys',
    summary: 'A new API key: hashed here, said once, with roles and an end',
    roles: [],
    body: apiKeyRequest,
    answer: s.newApiKey,
    handle: (service, { caller, body }) => service.createApiKey(body, caller.principal),
  }),
  route({
    ...takesNothing,
    method: 'DELETE',
    path: '/v1/apikeys/:id',
    summary: 'Revoke an API key: refused from the next request on',
    roles: [],
    params: s.apiKeyParams,
    answer: s.apiKeyRow,
    handle: (service, { caller, params }) => service.revokeApiKey(params.id, caller.principal),
  }),
];

/** The whole API but its two streams. */
export const routes: readonly Route[] = [
  ...migrationRoutes,
  ...policyRoutes,
  ...ledgerRoutes,
  ...peerRoutes,
  ...keyRoutes,
  ...escrowRoutes,
  ...machineRoutes,
  ...certificateRoutes,
  ...agreementRoutes,
  ...peeringRoutes,
  ...userRoutes,
];
