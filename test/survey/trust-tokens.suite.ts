import { describe, expect, it } from 'vitest';
import { ISSUER } from '../faults/harness/accreditor.ts';
import { runsAt } from '../faults/harness/checks.ts';
import { ledgerRows } from '../faults/harness/ledger-db.ts';
import { createVm, intend, intentOf, must, settled, type Vm } from '../faults/harness/moves.ts';
import { clouds } from './rig.ts';

const demand = async (claim: string): Promise<Vm> => {
  const vm = await createVm(clouds.a);
  must(await clouds.a.api.post(`/v1/vms/${vm.vm}/restrictions`, { accreditations: [`${ISSUER}:${claim}`] }));
  return vm;
};

describe('trust tokens', () => {
  it('a VM goes to whom an accreditor vouches for, whom both accept and nobody asks', async () => {
    const { a, b } = clouds;
    const vm = await demand('c5');
    expect(await settled(clouds, await intend(a, b, vm, 'cold'), 60_000)).toMatchObject({ outcome: 'done' });
    expect(runsAt(clouds, vm)).toEqual([b.plan.domain]);
  });

  it.each([
    ['was revoked', 'old', 'ACCREDITATION_REVOKED'],
    ['the target signed itself', 'forged', 'ACCREDITATION_NOT_ACCEPTED'],
    ['nobody gave', 'c9', 'ACCREDITATION_MISSING'],
  ])('a token that %s is worth nothing: refused with its code, and nothing is written', async (_, claim, code) => {
    const { a, b } = clouds;
    const vm = await demand(claim);
    const before = await ledgerRows(a.database);
    expect(await a.api.post('/v1/intents', intentOf(vm.vm, b.plan.domain, 'cold'))).toMatchObject({
      ok: false,
      code: 'POLICY_DENIES',
      reasons: [expect.objectContaining({ code })],
    });
    expect(await ledgerRows(a.database)).toEqual(before);
    expect(runsAt(clouds, vm)).toEqual([a.plan.domain]);
  });
});
