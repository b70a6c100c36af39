import { keyVerb } from '@carnet/keys';
import type { Role } from '@carnet/policy';
import * as s from './key-schemas.ts';
import { present } from './present.ts';
import { done, type Route, readers, route, takesNothing } from './route.ts';

const holders: readonly Role[] = [...readers, 'key-custodian'];
/** Whoever may end a key's life need not be able to move a VM, nor the other way round. */
const custodians: readonly Role[] = ['key-custodian'];
const auditors: readonly Role[] = ['auditor', 'key-custodian'];

export const keyRoutes: readonly Route[] = [
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/keys',
    summary: 'Key records as they are held now (`former=true`: as before, too): states and provenance, never values',
    roles: holders,
    query: s.keyQuery,
    answer: s.keyRows,
    handle: async (service, { query: { former } }) => done({ items: await service.keys(present({ former })) }),
  }),
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/keys/:key',
    summary: 'One key: its dated history, every time it was held here, who holds or held it, what peers reported of it',
    roles: holders,
    params: s.keyParams,
    answer: s.keyDetail,
    handle: (service, { params }) => service.key(params.key),
  }),
  ...keyVerb.options.map((verb) =>
    route({
      ...takesNothing,
      method: 'POST',
      path: `/v1/keys/:key/${verb}`,
      summary: `${verb[0]?.toUpperCase()}${verb.slice(1)} a key: signed, recorded, and told to every peer that ever held it. Safe to repeat.`,
      roles: custodians,
      params: s.keyParams,
      body: s.keyChange,
      answer: s.keyDetail,
      handle: (service, { params, caller, body }) => service.changeKey(params.key, verb, body, caller.principal),
    }),
  ),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/keys/:key/consumers',
    summary: 'A VM that is held here needs this key: it is not destroyed meanwhile',
    roles: ['operator', 'key-custodian'],
    params: s.keyParams,
    body: s.keyConsumer,
    answer: s.keyDetail,
    handle: (service, { params, body }) => service.addKeyConsumer(params.key, body.vm),
  }),
  route({
    ...takesNothing,
    method: 'DELETE',
    path: '/v1/keys/:key/consumers/:home/:uuid',
    summary: 'A VM does not need this key any more; refused while one of its disks opens with it',
    roles: ['operator', 'key-custodian'],
    params: s.keyConsumerParams,
    answer: s.keyDetail,
    handle: (service, { params }) => service.removeKeyConsumer(params.key, params.vm),
  }),
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/keys/:key/uses',
    summary: 'Every use of a key, newest first: who, what for, where',
    roles: auditors,
    params: s.keyParams,
    answer: s.keyUseRows,
    handle: async (service, { params }) => {
      const uses = await service.keyUses(params.key);
      return uses.ok ? done({ items: uses.value }) : uses;
    },
  }),
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/key-uses/verdict',
    summary: 'Walks the hash chain of all uses of all keys to its head',
    roles: auditors,
    answer: s.usesVerdict,
    handle: async (service) => done(await service.verifyKeyUses()),
  }),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/projects/:project/rotations',
    summary:
      'One batch of a KEK rotation: begins one, or goes on with one that was begun. Repeat with the `version` of the answer until `done`',
    roles: custodians,
    params: s.projectParams,
    body: s.rotationRequest,
    answer: s.rotation,
    handle: (service, { params, caller, body: { reason, version } }) =>
      service.rotateProject(params.project, { reason, ...present({ version }) }, caller.principal),
  }),
];
