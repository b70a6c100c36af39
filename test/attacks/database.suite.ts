import { describe, expect, it } from 'vitest';
import { runsAt } from '../faults/harness/checks.ts';
import { ledgerRows, rowsOf } from '../faults/harness/ledger-db.ts';
import { createVm, intend, must, settled, type Vm } from '../faults/harness/moves.ts';
import { clouds, saysOnce, truthOfA } from './rig.ts';

const sql = (text: string, ...values: readonly unknown[]) =>
  rowsOf<{ readonly wrapped: string }>(clouds.a.database, text, values);
const diskKeyOf = ({ uuid }: Vm): string => String(clouds.a.host.domain(uuid)?.definition.disks[0]?.key);
const typesOf = async (migration: string): Promise<readonly string[]> =>
  (await ledgerRows(clouds.a.database)).flatMap((row) => (row.migration === migration ? [row.type] : []));

describe('whoever writes into A’s database, and holds none of its keys', () => {
  it.each<readonly [string, string, string]>([
    ['another VM’s key under this one’s name', 'keys_holdings', 'KEY_UNOPENABLE'],
    ['another root’s key as the tenant’s', 'keys_keks', 'KEK_UNOPENABLE'],
  ])('puts %s: nothing is deposited, the VM runs on, and once the row is back it moves', async (_name, table, code) => {
    const { a, b } = clouds;
    const [vm, other] = [await createVm(a), await createVm(a)];
    const where =
      table === 'keys_holdings'
        ? 'key = $1'
        : '(tenant, version) = (select tenant, kek_version from keys_holdings where key = $1)';
    const [row] = await sql(`select wrapped from ${table} where ${where}`, diskKeyOf(vm));
    const [foreign] = await sql('select wrapped from keys_holdings where key = $1', diskKeyOf(other));
    const put = (wrapped: string | undefined) => sql(`update ${table} set wrapped = $2 where ${where}`, diskKeyOf(vm), wrapped);
    const { keys, vms } = await truthOfA();
    await put(foreign?.wrapped);
    let migration = '';
    try {
      await saysOnce('brokerLog', code, async () => {
        migration = await intend(a, b, vm, 'cold');
      });
      expect(await typesOf(migration)).not.toContain('KeyDeposited');
      expect(await truthOfA()).toMatchObject({ keys, vms });
      expect(runsAt(clouds, vm)).toEqual([a.plan.domain]);
    } finally {
      // Who comes next needs A's keys, whatever this one saw.
      await put(row?.wrapped);
    }
    expect(await settled(clouds, migration, 60_000)).toMatchObject({ outcome: 'done' });
  });

  it('lists a VM that no host has: its move ends before anything is sealed', async () => {
    const { a, b } = clouds;
    const { vm } = await createVm(a);
    const ghost = vm.replace(/[0-9a-f]{8}-/, 'deadbeef-');
    await sql(
      `insert into broker_vms select (jsonb_populate_record(null::broker_vms, to_jsonb(v) || jsonb_build_object('vm', $2::text))).*
        from broker_vms v where v.vm = $1`,
      vm,
      ghost,
    );
    const migration = await intend(a, b, { vm: ghost, uuid: '' }, 'cold');
    const end = await settled(clouds, migration, 30_000);
    expect(end).toHaveProperty('reasons', expect.arrayContaining([expect.objectContaining({ code: 'VM_NOT_HERE' })]));
    const types = await typesOf(migration);
    for (const type of ['OfferAgreed', 'KeyDeposited', 'KeyReleased']) expect(types).not.toContain(type);
    await sql('delete from broker_vms where vm = $1', ghost);
    must(await a.api.get('/v1/vms'));
  });
});
