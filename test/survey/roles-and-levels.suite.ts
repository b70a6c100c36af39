import { beforeAll, describe, expect, it } from 'vitest';
import { runsAt } from '../faults/harness/checks.ts';
import { clientOf } from '../faults/harness/cloud.ts';
import { ledgerRows, rowsOf } from '../faults/harness/ledger-db.ts';
import { createVm, intend, intentOf, must, settled, type Vm } from '../faults/harness/moves.ts';
import { clouds, RULE, UNWANTED } from './rig.ts';

const restrict = (vm: Vm, change: object) => clouds.a.api.post(`/v1/vms/${vm.vm}/restrictions`, change);

/** What both sides' ledgers say of this type in a migration, decoded. */
async function inBothLogs(migration: string, type: string): Promise<readonly unknown[]> {
  const sides = [clouds.a, clouds.b].map(({ database }) =>
    rowsOf<{ readonly envelope: Uint8Array }>(database, 'select envelope from events where migration = $1 and type = $2', [
      migration,
      type,
    ]),
  );
  return (await Promise.all(sides)).flatMap((rows) =>
    rows.map(({ envelope }) => {
      const { payload } = JSON.parse(Buffer.from(envelope).toString('utf8'));
      return JSON.parse(Buffer.from(payload, 'base64').toString('utf8')).data;
    }),
  );
}

describe('role-based migration', () => {
  let vm: Vm;
  beforeAll(async () => {
    vm = await createVm(clouds.a);
  });

  it('who has the role moves the VM; who has another is refused by name of the role, and nothing is written', async () => {
    const { a, b } = clouds;
    const before = await ledgerRows(a.database);
    const auditor = clientOf(a.paths, a.plan, a.facts.ports.http, 'auditor');
    expect(await auditor.post('/v1/intents', intentOf(vm.vm, b.plan.domain, 'cold'))).toMatchObject({
      ok: false,
      code: 'ROLE_MISSING',
    });
    auditor.close();
    expect(await ledgerRows(a.database)).toEqual(before);
    const other = await createVm(a);
    expect(await settled(clouds, await intend(a, b, other, 'cold'), 60_000)).toMatchObject({ outcome: 'done' });
  });

  it('a changed label flips both logs to denied, with the rule', async () => {
    const { a, b } = clouds;
    must(await restrict(vm, { labels: [UNWANTED] }));
    const migration = await intend(a, b, vm, 'cold');
    expect(await settled(clouds, migration, 30_000)).toMatchObject({
      outcome: 'refused',
      reasons: [expect.objectContaining({ code: RULE })],
    });
    const said = await inBothLogs(migration, 'MigrationRefused');
    expect(said).toHaveLength(2);
    for (const { reasons } of said as readonly { readonly reasons: unknown }[])
      expect(reasons).toEqual([expect.objectContaining({ code: RULE })]);
    expect(runsAt(clouds, vm)).toEqual([a.plan.domain]);
  });
});

describe('security levels (TCSL)', () => {
  it('a VM goes to hosts of its level and above: what B has is too low, and the refusal names it', async () => {
    const { a, b } = clouds;
    const vm = await createVm(a);
    must(await restrict(vm, { level: 2 }));
    const before = await ledgerRows(a.database);
    const refused = await a.api.post('/v1/intents', intentOf(vm.vm, b.plan.domain, 'cold'));
    expect(refused).toMatchObject({
      ok: false,
      code: 'POLICY_DENIES',
      reasons: [expect.objectContaining({ code: 'LEVEL_TOO_LOW' })],
    });
    expect(await ledgerRows(a.database)).toEqual(before);
    expect(runsAt(clouds, vm)).toEqual([a.plan.domain]);
  });

  it('one of level 1 goes, and its level goes with it', async () => {
    const { a, b } = clouds;
    const vm = await createVm(a);
    must(await restrict(vm, { level: 1 }));
    expect(await settled(clouds, await intend(a, b, vm, 'cold'), 60_000)).toMatchObject({ outcome: 'done' });
    const vms = must(await b.api.get<{ readonly items: readonly { readonly vm: string; readonly spec: unknown }[] }>('/v1/vms'));
    expect(vms.items.find((one) => one.vm === vm.vm)?.spec).toMatchObject({ restrictions: { level: 1 } });
    // Nobody below the level takes it down by a word: at its host, loosening is refused.
    expect(await b.api.post(`/v1/vms/${vm.vm}/restrictions`, { level: 0 })).toMatchObject({
      ok: false,
      code: 'RESTRICTIONS_LOOSENED',
    });
  });
});
