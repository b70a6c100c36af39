import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type DsseEnvelope,
  dsseEnvelope,
  event,
  hostName,
  type IntentRequest,
  isMigrationEvent,
  type MigrationId,
  PAYLOAD_TYPES,
  type TrustDomain,
  timestamp,
  type VmId,
  vmSpec,
} from '@carnet/events';
import type { AppendTx } from '@carnet/journal';
import { leafSigner, validatePath } from '@carnet/pki';
import { decide, evolve, initialJourney, type Journey } from '@carnet/saga';
import { sha256Hex, signEnvelope } from '@carnet/trust';
import { C, csp, setOf, user } from '../../../../../libs/policy/src/testing.ts';
import type { HeldVm, Inventory } from '../../inventory.ts';
import type { Ledgers } from '../../ledgers.ts';
import { openPolicyGate, type PolicyGate } from '../../policy-gate.ts';
import type { IntakePorts } from '../../service/intake.ts';
import { otherContent, type WaitingRequest, type WaitingRequests } from '../../service/requests.ts';
import { NO_QUOTAS } from '../../service/testing/one-at-a-time.ts';
import { stillGood } from '../../users/credential.ts';
import { A, B, type Credentials, type DoorsWorld, leafOf, NOW_MS } from './doors-world.ts';
import { AT, DIGEST, KEY, MIGRATION } from './fake-service.ts';

/** Ledgers without a journal: the saga's own rules over a map. */
export function memoryLedgers(self: TrustDomain): Ledgers {
  const journeys = new Map<VmId, Journey>();
  const of = (vm: VmId): Journey => journeys.get(vm) ?? initialJourney(vm);
  let seq = 0;
  return {
    journey: async (vm) => of(vm),
    journeys: async (vm) => [of(vm)],
    foldedTo: async (vm, peer) => ({ journey: of(vm), ends: { vm, peer, own: undefined, received: undefined }, cameHome: false }),
    settled: async (vm) => ({ ok: true, journey: of(vm) }),
    isIdTaken: async () => false,
    placedAt: async () => undefined,
    propose: async (vm, peer, make) => {
      // The intake's drafts look nothing up in the transaction.
      const proposal = await make({} as AppendTx, of(vm));
      if ('ok' in proposal) return proposal;
      const decision = decide(of(vm), self, proposal, AT);
      if (!decision.ok) return decision;
      seq += 1;
      const placed = event.parse({
        ...decision.draft,
        id: MIGRATION,
        v: 1,
        publisher: self,
        audience: peer,
        seq: `${seq}`,
        prev: DIGEST,
        time: AT,
      });
      if (!isMigrationEvent(placed)) throw new Error('not of a migration');
      const digest = sha256Hex(Buffer.from(JSON.stringify(placed)));
      journeys.set(vm, evolve(of(vm), { event: placed, digest }).journey);
      return { ok: true, digest };
    },
  };
}

/** Those whose id ends in 8 need two persons to leave, in 7 a level that B has not, in 6 are on hold. */
const restrictionsOfVm = (vm: VmId) => ({
  project: 'default',
  labels: vm.endsWith('8') ? ['two-persons'] : [],
  level: vm.endsWith('7') ? 2 : 0,
  onward: true,
  legalHold: vm.endsWith('6'),
});

const held = (vm: VmId): HeldVm => ({
  vm,
  host: hostName.parse('host-1'),
  epoch: 0,
  spec: vmSpec.parse({
    name: 'one',
    vcpus: 1,
    memoryMiB: 64,
    machine: 'pc-q35-7.2',
    cpuModel: 'qemu64',
    boot: { kind: 'disk' },
    disks: [{ artifact: KEY, target: 'vda', format: 'qcow2', capacityBytes: 1_048_576, key: KEY }],
    restrictions: restrictionsOfVm(vm),
  }),
});

/** Requests that wait, in a map. */
export function memoryWaiting(): WaitingRequests {
  const waiting = new Map<MigrationId, WaitingRequest>();
  return {
    all: async () => [...waiting.values()],
    get: async (migration) => waiting.get(migration),
    add: async ({ request, record, shown }) => {
      const kept = waiting.get(request.migration) ?? { request, record, shown, approvals: [], askedAt: AT };
      waiting.set(request.migration, kept);
      return otherContent(kept, request);
    },
    approve: async (migration, approval) => {
      const kept = waiting.get(migration);
      if (kept !== undefined) waiting.set(migration, { ...kept, approvals: [...kept.approvals, approval] });
      return kept !== undefined;
    },
    remove: async (migration) => void waiting.delete(migration),
  };
}

const RULES = readFileSync(join(import.meta.dirname, '../../../../../infra/dev/policies/moves.cedar'), 'utf8');
/** The demonstration's rules, and a peer C whose hosts are better than B's. */
const gate = (): PolicyGate =>
  openPolicyGate({
    self: A,
    set: setOf(RULES, {
      entities: [
        user(`spiffe://${A}/scheduler`, ['scheduler']),
        user('scheduler', ['scheduler']),
        user(`spiffe://${A}/operator`, ['operator']),
        user('operator', ['operator']),
        csp(A, ['DE', 'EU'], 3),
        csp(B, ['EU', 'FR'], 1),
        csp(C, ['EU'], 3),
      ],
    }),
    counts: async () => ({ outgoing: NOTHING, incoming: NOTHING }),
    peers: [B, C],
    hosts: [],
    hostsUp: () => [],
    now: () => timestamp.parse(new Date(NOW_MS).toISOString()),
  });
const NOTHING = { migrations: 0, memoryMiB: 0, diskBytes: 0 };

/** The broker's real intake: certificates are validated, policy and saga decide; custody is a line. */
export function memoryIntake(world: Pick<DoorsWorld, 'pki' | 'tls'>): IntakePorts {
  const identify: IntakePorts['identify'] = (leaf) => {
    const intermediate = world.pki.members.get(A)?.authority.certificate ?? new Uint8Array();
    const chain = [leaf, Buffer.from(intermediate).toString('base64')];
    const path = validatePath({ ...world.tls.store(), chain, at: world.tls.now(), trustDomain: A });
    return path.ok ? path.value : undefined;
  };
  return {
    self: A,
    agreementFault: async () => undefined,
    peers: [B, C],
    ledgers: memoryLedgers(A),
    inventory: { vm: async (vm: VmId) => (vm.endsWith('9') ? undefined : held(vm)) } as Inventory,
    keys: { reinstate: async () => undefined, memoryUsed: async () => undefined },
    alone: async (_, work) => ({ held: true, value: await work(new AbortController().signal) }),
    quotas: NO_QUOTAS,
    policy: gate(),
    waiting: memoryWaiting(),
    nowMs: () => NOW_MS,
    offerMs: 60_000,
    deadlineMs: 3_600_000,
    leastRekey: 'none',
    identify,
    isStillGood: stillGood({ identify, isActive: async () => true, now: () => AT }),
  };
}

/** A request in its asker's own signature. */
export function signedBy(
  { cert = '', key = '' }: Credentials,
  request: IntentRequest,
): { readonly envelope: DsseEnvelope; readonly certificate: string } {
  const leaf = leafOf(cert);
  const envelope = signEnvelope(PAYLOAD_TYPES.request, Buffer.from(JSON.stringify(request)), leafSigner(key, leaf));
  return {
    envelope: dsseEnvelope.parse(JSON.parse(Buffer.from(envelope).toString())),
    certificate: Buffer.from(leaf).toString('base64'),
  };
}
