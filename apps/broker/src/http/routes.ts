import { digest, migrationId, type VmId, vmId } from '@carnet/events';
import type { Role } from '@carnet/policy';
import { z } from 'zod';
import type { ServiceRefusal } from '../service/service.ts';
import { intendFromCloudEvent } from './intents.ts';
import { done, type Route } from './route.ts';
import * as s from './schemas.ts';

/** Rows of one answer; readers page with `after`. */
export const ROWS_MAX = 1_000;

const readers: readonly Role[] = ['viewer', 'operator', 'scheduler', 'auditor'];
const operators: readonly Role[] = ['operator'];

const badParameter = (name: string): ServiceRefusal => ({ ok: false, code: 'PARAMETER_INVALID', text: `${name} is not well formed` });

const migrationQuery = z.strictObject({
  open: z.enum(['true', 'false']).optional(),
  vm: vmId.optional(),
  limit: z.coerce.number().int().min(1).max(ROWS_MAX).default(100),
});
const eventQuery = z.strictObject({
  migration: migrationId.optional(),
  after: z.string().max(2_000).optional(),
  limit: z.coerce.number().int().min(1).max(ROWS_MAX).default(ROWS_MAX),
});

/** `<home domain>/<uuid>` stands as two path segments. */
const vmOf = (params: Readonly<Record<string, string>>): VmId | undefined => vmId.safeParse(`${params['home']}/${params['uuid']}`).data;

export const routes: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/intents',
    summary: 'Ask for a migration (CloudEvents 1.0, JSON). Safe to repeat with the same `data.migration`.',
    roles: ['operator', 'scheduler'],
    body: s.intentEvent,
    answer: s.intentAccepted,
    handle: (service, caller, { body }) => intendFromCloudEvent(service, caller, s.intentEvent.parse(body)),
  },
  {
    method: 'POST',
    path: '/v1/plans',
    summary: 'What a migration would do, without doing it',
    roles: ['operator', 'scheduler', 'viewer'],
    body: s.intentEvent,
    answer: s.plan,
    handle: async (service, caller, { body }) => {
      const asked = s.intentEvent.parse(body);
      if (asked.type !== s.INTENT_TYPE) return { ok: false, code: 'PARAMETER_INVALID', text: 'a plan takes a plain intent' };
      return service.plan(asked.data, caller.principal);
    },
  },
  {
    method: 'GET',
    path: '/v1/migrations',
    summary: 'Migrations, newest first',
    roles: readers,
    query: migrationQuery,
    answer: s.migrationRows,
    handle: async (service, _caller, { query }) => {
      const { open, vm, limit } = migrationQuery.parse(query);
      return done({ items: await service.migrations({ limit, ...(open === undefined ? {} : { open: open === 'true' }), ...(vm === undefined ? {} : { vm }) }) });
    },
  },
  {
    method: 'GET',
    path: '/v1/migrations/:migration',
    summary: 'One migration: both sides, custody of the key, what is owed',
    roles: readers,
    answer: s.migrationDetail,
    handle: async (service, _caller, { params }) => {
      const id = migrationId.safeParse(params['migration']);
      return id.success ? service.migration(id.data) : badParameter('migration');
    },
  },
  {
    method: 'POST',
    path: '/v1/migrations/:migration/cancel',
    summary: 'Withdraw before the key is released; the VM goes on at its source',
    roles: operators,
    body: s.cancelRequest,
    answer: s.cancelled,
    handle: async (service, caller, { params, body }) => {
      const id = migrationId.safeParse(params['migration']);
      return id.success ? service.cancel(id.data, caller.principal, s.cancelRequest.parse(body).text) : badParameter('migration');
    },
  },
  {
    method: 'GET',
    path: '/v1/events',
    summary: 'Events of all ledgers in the order they came to stand here; page with `after`',
    roles: readers,
    query: eventQuery,
    answer: s.ledgerEntries,
    handle: async (service, _caller, { query }) => {
      const { migration, after, limit } = eventQuery.parse(query);
      const filter = { limit, ...(migration === undefined ? {} : { migration }), ...(after === undefined ? {} : { after }) };
      return done({ items: await service.events(filter) });
    },
  },
  {
    method: 'GET',
    path: '/v1/events/:digest',
    summary: 'One event by the SHA-256 of its envelope',
    roles: readers,
    answer: s.ledgerEntry,
    handle: async (service, _caller, { params }) => {
      const wanted = digest.safeParse(params['digest']);
      if (!wanted.success) return badParameter('digest');
      const [entry] = await service.events({ digest: wanted.data, limit: 1 });
      return entry === undefined ? { ok: false, code: 'EVENT_UNKNOWN', text: 'no event with this digest stands in a ledger here' } : done(entry);
    },
  },
  {
    method: 'GET',
    path: '/v1/keys',
    summary: 'Key records: states and provenance, never values',
    roles: readers,
    answer: s.keyRows,
    handle: async (service) => done({ items: await service.keys() }),
  },
  {
    method: 'GET',
    path: '/v1/keys/:key',
    summary: 'One key record',
    roles: readers,
    answer: s.keyRow,
    handle: (service, _caller, { params }) => service.key(params['key'] ?? ''),
  },
  {
    method: 'GET',
    path: '/v1/peers',
    summary: 'Peers and how far both ledgers with each have come',
    roles: readers,
    answer: s.peerRows,
    handle: async (service) => done({ items: await service.peers() }),
  },
  {
    method: 'GET',
    path: '/v1/hosts',
    summary: 'Hypervisor hosts',
    roles: readers,
    answer: s.hostRows,
    handle: async (service) => done({ items: await service.hosts() }),
  },
  {
    method: 'GET',
    path: '/v1/images',
    summary: 'Encrypted images that VMs can be created from',
    roles: readers,
    answer: s.imageRows,
    handle: async (service) => done({ items: await service.images() }),
  },
  {
    method: 'POST',
    path: '/v1/images',
    summary: "Register an image from the host's import directory: encrypted at once, under a key of its own",
    roles: operators,
    body: s.imageRegistration,
    answer: s.imageRow,
    handle: (service, caller, { body }) => service.registerImage(s.imageRegistration.parse(body), caller.principal),
  },
  {
    method: 'POST',
    path: '/v1/images/:name/verify',
    summary: 'Read every chunk of an image again and compare with its signed root',
    roles: ['operator', 'auditor'],
    answer: s.imageVerdict,
    handle: (service, _caller, { params }) => service.verifyImage(params['name'] ?? ''),
  },
  {
    method: 'GET',
    path: '/v1/vms',
    summary: 'VMs that this CSP holds',
    roles: readers,
    answer: s.vmRows,
    handle: async (service) => done({ items: await service.vms() }),
  },
  {
    method: 'POST',
    path: '/v1/vms',
    summary: 'Create a VM on an encrypted disk',
    roles: operators,
    body: s.vmCreation,
    answer: s.vmRow,
    handle: (service, caller, { body }) => {
      const { image, capacityBytes, ...rest } = s.vmCreation.parse(body);
      return service.createVm({ ...rest, ...(image === undefined ? {} : { image }), ...(capacityBytes === undefined ? {} : { capacityBytes }) }, caller.principal);
    },
  },
  ...(['on', 'off'] as const).map(
    (power): Route => ({
      method: 'POST',
      path: `/v1/vms/:home/:uuid/${power}`,
      summary: `Switch a VM ${power}`,
      roles: operators,
      answer: s.vmRow,
      handle: async (service, caller, { params }) => {
        const vm = vmOf(params);
        return vm === undefined ? badParameter('vm') : service.setVmPower(vm, power, caller.principal);
      },
    }),
  ),
  {
    method: 'DELETE',
    path: '/v1/vms/:home/:uuid',
    summary: 'Delete a VM that no migration is moving: its keys are destroyed, so its disks can never be read again',
    roles: operators,
    answer: s.vmDeleted,
    handle: async (service, caller, { params }) => {
      const vm = vmOf(params);
      return vm === undefined ? badParameter('vm') : service.deleteVm(vm, caller.principal);
    },
  },
];
