import { eventually } from '@carnet/dev';
import type { Answer, BrokerClient } from '@carnet/publisher';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { apiKeyAt } from '../faults/harness/api-keys.ts';
import { runsAt } from '../faults/harness/checks.ts';
import { tokenClientOf } from '../faults/harness/cloud.ts';
import { rowsOf } from '../faults/harness/ledger-db.ts';
import { createVm, intentOf, must, newMigration, settled, type Vm } from '../faults/harness/moves.ts';
import { COUNTED, personAt } from './people.ts';
import { clouds, truthOfA } from './rig.ts';

const TARGET = 'csp-b.example';
let anna: BrokerClient;
let onDuty: BrokerClient;
let bob: BrokerClient;
beforeAll(async () => {
  const { a } = clouds;
  [anna, onDuty, bob] = [
    await personAt(clouds, a, 'operator/anna'),
    await personAt(clouds, a, 'duty/anna'),
    await personAt(clouds, a, 'operator/bob'),
  ];
});
afterAll(() => {
  for (const one of [anna, onDuty, bob]) one?.close();
});

const labelled = async (label: string): Promise<Vm> => {
  const vm = await createVm(clouds.a);
  must(await clouds.a.api.post(`/v1/vms/${vm.vm}/restrictions`, { labels: [label] }));
  return vm;
};
const ask = (by: BrokerClient, vm: Vm, migration = newMigration()): Promise<Answer<unknown>> =>
  by.post('/v1/intents', intentOf(vm.vm, TARGET, 'cold', migration));
const approve = (by: BrokerClient, migration: string): Promise<Answer<unknown>> =>
  by.post(`/v1/requests/${migration}/approve`, {});
const codeOf = (answer: Answer<unknown>): string => (answer.ok ? 'taken' : (answer.reasons?.[0]?.code ?? answer.code));
const truth = async (): Promise<unknown> => ({
  ...(await truthOfA()),
  waiting: await rowsOf(clouds.a.database, 'select migration, record, approvals from broker_requests order by migration'),
});

async function isRefused(work: () => Promise<Answer<unknown>>, code: string, reason?: string): Promise<void> {
  const before = await truth();
  const why = reason === undefined ? {} : { reasons: [expect.objectContaining({ code: reason })] };
  expect(await work()).toMatchObject({ ok: false, code, ...why });
  expect(await truth()).toEqual(before);
}

describe('one person', () => {
  it('under two names is not two; nor is an API key a second one; another one is', async () => {
    const [vm, migration] = [await labelled('two-persons'), newMigration()];
    expect(await ask(anna, vm, migration)).toMatchObject({ ok: false, code: 'APPROVAL_NEEDED' });
    await isRefused(() => approve(anna, migration), 'APPROVAL_REFUSED', 'SELF_APPROVAL');
    await isRefused(() => approve(onDuty, migration), 'APPROVAL_REFUSED', 'SELF_APPROVAL');
    const boss = tokenClientOf(clouds.a, await apiKeyAt(clouds.a, 'boss', ['operator']));
    await isRefused(() => approve(boss, migration), 'APPROVAL_REFUSED', 'APPROVER_NO_PERSON');
    boss.close();
    must(await approve(bob, migration));
    expect(await settled(clouds, migration, 60_000)).toMatchObject({ outcome: 'done' });
  });

  it('whose credential is gone asks for nothing any more, whoever approves', async () => {
    const [vm, migration] = [await labelled('two-persons'), newMigration()];
    const nightly = tokenClientOf(clouds.a, await apiKeyAt(clouds.a, 'nightly', ['scheduler']));
    expect(await ask(nightly, vm, migration)).toMatchObject({ ok: false, code: 'APPROVAL_NEEDED' });
    await rowsOf(
      clouds.a.database,
      "update users_api_keys set revoked_at = created_at, revoked_by = 'a test' where name = 'nightly'",
    );
    await isRefused(() => approve(bob, migration), 'REQUEST_LAPSED');
    nightly.close();
    expect(runsAt(clouds, vm)).toEqual(['csp-a.example']);
  });
});

describe('a quota', () => {
  it('holds for VMs that are asked for at once at two replicas, and at the target that gets them at once', async () => {
    const { a, b } = clouds;
    const vms = await Promise.all(Array.from({ length: 6 }, () => labelled(COUNTED)));
    const ids = vms.map(() => newMigration());
    const second = await a.startReplica();
    // B answers nothing before all were asked for: none that was taken ends meanwhile.
    await b.broker.kill('SIGSTOP');
    try {
      const asked = await Promise.all(vms.map((vm, i) => ask(i % 2 === 0 ? a.api : second.api, vm, ids[i])));
      expect(asked.map(codeOf).toSorted()).toEqual([...Array.from({ length: 4 }, () => 'QUOTA_EXCEEDED'), 'taken', 'taken']);
    } finally {
      await b.broker.kill('SIGCONT');
      await second.broker.stop();
    }
    const taken = await rowsOf<{ readonly migration: string }>(
      a.database,
      `select migration from events where type = 'MigrationIntended' and migration in (${ids.map((id) => `'${id}'`).join()})`,
    );
    const outcomes = await Promise.all(taken.map(async ({ migration }) => (await settled(clouds, migration, 60_000)).outcome));
    expect(outcomes.toSorted()).toEqual(['done', 'refused']);
  });
});

describe('a VM that is being deleted', () => {
  const isDecidedAbout = ({ vm }: Vm): Promise<true> =>
    eventually('the deletion', async () => {
      const held = await rowsOf(
        clouds.a.database,
        `select 1 from pg_locks where locktype = 'advisory' and ((classid::int8 << 32) | objid::int8) = hashtextextended('carnet vm ${vm}', 0)`,
      );
      return held.length > 0 ? true : undefined;
    });

  const stopped = async (): Promise<Vm> => {
    const vm = await createVm(clouds.a);
    must(await clouds.a.api.post(`/v1/vms/${vm.vm}/off`, {}));
    return vm;
  };

  it('is neither put on hold nor offered meanwhile: nobody is told that it is kept, and its keys go', async () => {
    const { a } = clouds;
    const vm = await stopped();
    await a.agent.kill('SIGSTOP');
    const deletion = a.api.act('DELETE', `/v1/vms/${vm.vm}`);
    try {
      await isDecidedAbout(vm);
      await isRefused(() => a.api.post(`/v1/vms/${vm.vm}/restrictions`, { legalHold: true }), 'VM_MOVING');
      await isRefused(() => ask(anna, vm), 'VM_MOVING');
    } finally {
      await a.agent.kill('SIGCONT');
    }
    must(await deletion);
    expect(await ask(anna, vm)).toMatchObject({ ok: false, code: 'VM_UNKNOWN' });
    expect(runsAt(clouds, vm)).toEqual([]);
  });

  it('has no other VM as the consumer of its key, which would keep the key', async () => {
    const { api } = clouds.a;
    const [vm, other] = [await stopped(), await createVm(clouds.a)];
    type Keys = { readonly items: readonly { readonly key: string; readonly consumers: readonly string[] }[] };
    const { items } = must(await api.get<Keys>('/v1/keys'));
    const key = items.find(({ consumers }) => consumers.includes(`vm:${vm.vm}`))?.key;
    await isRefused(() => api.post(`/v1/keys/${key}/consumers`, { vm: other.vm }), 'CONSUMER_FOREIGN');
    must(await api.act('DELETE', `/v1/vms/${vm.vm}`));
    expect(must(await api.get<{ readonly state: string }>(`/v1/keys/${key}`)).state).toBe('destroyed');
  });
});
