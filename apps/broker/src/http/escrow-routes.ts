import type { Role } from '@carnet/policy';
import * as s from './escrow-schemas.ts';
import { present } from './present.ts';
import { done, operators, type Route, readers, route, takesNothing } from './route.ts';

/** The door lets custodians in; that a statement is theirs, its own signature says. */
const custodians: readonly Role[] = ['custodian'];
/** Who may end a key's life may also have it split, and put together: neither who asked nor who approved may do that. */
const keyCustodians: readonly Role[] = ['key-custodian'];

/** Who decides on an escrow sees it first: what is not seen is approved blindly. */
const lookers: readonly Role[] = [...readers, ...keyCustodians];

/** M-of-N escrow. Nobody does two steps of one recovery: who asks, who approves and who recovers are different persons. */
export const escrowRoutes: readonly Route[] = [
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/custodians',
    summary: 'Custodians and the digests of their sealing keys',
    roles: lookers,
    answer: s.custodianRows,
    handle: async ({ escrow }) => done({ items: await escrow.custodians() }),
  }),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/custodians',
    summary: "A custodian's sealing key, vouched for by his own certificate; shares dealt from now on are sealed to it",
    roles: custodians,
    body: s.said,
    answer: s.custodianRow,
    handle: ({ escrow }, { body }) => escrow.enroll(body),
  }),
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/escrows',
    summary: 'Escrows of keys: current ones first',
    roles: lookers,
    query: s.escrowQuery,
    answer: s.escrowRows,
    handle: async ({ escrow }, { query }) => done({ items: await escrow.escrows(present(query)) }),
  }),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/escrows',
    summary: 'Split a key that is held here among custodians, M of whom can bring it back. One dealt before is superseded',
    roles: keyCustodians,
    body: s.escrowWish,
    answer: s.escrowDetail,
    handle: ({ escrow }, { body, caller }) => escrow.create(body, caller.principal),
  }),
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/escrows/:escrow',
    summary: 'One escrow: its signed manifest, the sealed shares, drills and recoveries',
    roles: lookers,
    params: s.escrowParams,
    answer: s.escrowDetail,
    handle: ({ escrow }, { params }) => escrow.escrow(params.escrow),
  }),
  ...drillRoutes(),
  ...recoveryRoutes(),
];

function drillRoutes(): readonly Route[] {
  return [
    route({
      ...takesNothing,
      method: 'POST',
      path: '/v1/escrows/:escrow/drills',
      summary: 'Ask all custodians of an escrow to prove that their shares open',
      roles: keyCustodians,
      params: s.escrowParams,
      body: s.drillWish,
      answer: s.drillRow,
      handle: ({ escrow }, { params, body, caller }) => escrow.openDrill(params.escrow, body, caller.principal),
    }),
    route({
      ...takesNothing,
      method: 'GET',
      path: '/v1/drills/:drill',
      summary: 'One drill: who has proven possession',
      roles: lookers,
      params: s.drillParams,
      answer: s.drillRow,
      handle: ({ escrow }, { params }) => escrow.drill(params.drill),
    }),
    route({
      ...takesNothing,
      method: 'POST',
      path: '/v1/drills/proofs',
      summary: "A custodian's signed proof that his share opens; the share stays with him",
      roles: custodians,
      body: s.said,
      answer: s.drillRow,
      handle: ({ escrow }, { body }) => escrow.prove(body),
    }),
    route({
      ...takesNothing,
      method: 'POST',
      path: '/v1/drills/:drill/conclude',
      summary: 'End a drill: whoever has not proven possession has failed, and is named in every ledger',
      roles: keyCustodians,
      params: s.drillParams,
      answer: s.drillRow,
      handle: ({ escrow }, { params, caller }) => escrow.conclude(params.drill, caller.principal),
    }),
  ];
}

function recoveryRoutes(): readonly Route[] {
  return [
    route({
      ...takesNothing,
      method: 'POST',
      path: '/v1/recoveries',
      summary: 'Ask for a key back, in an own signature. Only where the VM is: an escrow replaces no release',
      roles: [...operators, ...keyCustodians],
      body: s.said,
      answer: s.recoveryRow,
      handle: ({ escrow }, { body }) => escrow.ask(body),
    }),
    route({
      ...takesNothing,
      method: 'GET',
      path: '/v1/recoveries/:recovery',
      summary: 'One recovery: who asked, why, and who has approved',
      roles: lookers,
      params: s.recoveryParams,
      answer: s.recoveryRow,
      handle: ({ escrow }, { params }) => escrow.recovery(params.recovery),
    }),
    route({
      ...takesNothing,
      method: 'POST',
      path: '/v1/recoveries/approvals',
      summary: "A custodian's signed approval, with his share sealed to the key of this one request",
      roles: custodians,
      body: s.said,
      answer: s.recoveryRow,
      handle: ({ escrow }, { body }) => escrow.approve(body),
    }),
    route({
      ...takesNothing,
      method: 'POST',
      path: '/v1/recoveries/:recovery/recover',
      summary: 'Put the key together and keep it here, once M custodians have approved. Neither who asked nor who approved may',
      roles: keyCustodians,
      params: s.recoveryParams,
      answer: s.recoveryRow,
      handle: ({ escrow }, { params, caller }) => escrow.recover(params.recovery, caller.principal),
    }),
  ];
}
