import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { intentRequest, type VmId, vmId } from '@carnet/events';
import { runChanges, type Store } from '@carnet/store';
import { openMigrationViews, viewsChanges } from '@carnet/views';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { A, B, csp, MONDAY, setOf, specWith } from '../../../libs/policy/src/testing.ts';
import { migration } from '../../../libs/saga/src/testing.ts';
import { openEmptyStore } from '../../../libs/store/src/testing.ts';
import { memoryLedgers } from './http/testing/memory-intake.ts';
import { openCounts } from './open-counts.ts';
import { openPolicyGate } from './policy-gate.ts';
import { openQuotas } from './quotas.ts';
import { type IntakePorts, intend } from './service/intake.ts';
import { oneAtATime } from './service/testing/one-at-a-time.ts';
import { SHOWN } from './users/testing/shown.ts';

const RULES = `@id("all") permit (principal, action, resource);
@id("quota") @reason("QUOTA_EXCEEDED") forbid (principal, action == Action::"send", resource) when { context.open.migrations >= 2 };`;
const dir = mkdtempSync(join(tmpdir(), 'carnet-quotas-'));
let store: Store;
beforeAll(async () => {
  store = await openEmptyStore(dir);
  await runChanges(store, viewsChanges);
}, 60_000);
afterAll(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

/** As many replicas as asked for: one database and one pair of ledgers, each with a queue of its own. */
function replicas(n: number): readonly IntakePorts[] {
  const views = openMigrationViews(store);
  const ledgers = memoryLedgers(A);
  const alone = oneAtATime();
  const set = setOf(RULES, { entities: [csp(A, ['DE'], 1), csp(B, ['FR'], 1)] });
  const gate = { self: A, set, counts: openCounts(views), peers: [B], hosts: [], hostsUp: () => [], now: () => MONDAY };
  const one = () =>
    ({
      self: A,
      peers: [B],
      agreementFault: async () => undefined,
      ledgers,
      inventory: { vm: async (vm: VmId) => ({ vm, host: 'host-1', epoch: 0, spec: specWith() }) },
      alone,
      quotas: openQuotas({ store, views, ledgers }),
      policy: openPolicyGate(gate),
      waiting: { get: async () => undefined, remove: async () => undefined },
      nowMs: () => Date.parse(MONDAY),
      offerMs: 60_000,
      deadlineMs: 3_600_000,
      leastRekey: 'none',
    }) as unknown as IntakePorts;
  return Array.from({ length: n }, one);
}

describe('a quota', () => {
  it('holds for many VMs at once, asked for at four replicas', async () => {
    const ports = replicas(4);
    const asked = [...ports, ...ports].map((replica, i) => {
      const vm = vmId.parse(`${A}/00000000-0000-4000-8000-00000000000${i}`);
      const request = intentRequest.parse({ migration: migration(i + 1), vm, target: B, mode: 'cold' });
      const record = { via: 'mtls', principal: 'x', digest: setOf(RULES).ruledBy.policySet } as const;
      return intend(replica, request, record, SHOWN);
    });
    const answers = await Promise.all(asked);
    const codes = answers.map((one) => (one.ok ? 'taken' : (one.reasons?.[0]?.code ?? one.code)));
    expect(codes.toSorted()).toEqual([...Array.from({ length: 6 }, () => 'QUOTA_EXCEEDED'), 'taken', 'taken']);
  });
});

describe('a turn', () => {
  const quotas = () =>
    openQuotas({ store, views: { record: async () => undefined, countUnanswered: async () => 0 }, ledgers: memoryLedgers(A) });

  it('is had by one at a time with a peer in a direction, over all replicas; others do not wait for it', async () => {
    const [first, second] = [quotas(), quotas()];
    const order: string[] = [];
    const work = (name: string) => async () => {
      order.push(`${name} begins`);
      await new Promise((resolve) => setImmediate(resolve));
      order.push(`${name} ends`);
    };
    await first.turn(B, 'outgoing', async () => {
      await Promise.all([first.turn(B, 'incoming', work('incoming')), second.turn(A, 'outgoing', work('other peer'))]);
      expect(order).toHaveLength(4);
    });
    order.length = 0;
    await Promise.all([first, first, second].map((one, i) => one.turn(B, 'outgoing', work(`${i}`))));
    for (let i = 0; i < 6; i += 2) expect(order[i + 1]).toBe(order[i]?.replace('begins', 'ends'));
  });

  it('comes for the next when one fails', async () => {
    const one = quotas();
    const failing = one.turn(B, 'outgoing', async () => {
      throw new Error('lost');
    });
    await expect(failing).rejects.toThrow('lost');
    expect(await one.turn(B, 'outgoing', async () => 1)).toEqual({ held: true, value: 1 });
  });
});
