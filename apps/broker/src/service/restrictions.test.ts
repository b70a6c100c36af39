import { hostName, type VmRestrictions, vmId } from '@carnet/events';
import { describe, expect, it } from 'vitest';
import { SPEC, VM } from '../../../../libs/saga/src/testing.ts';
import type { HeldVm } from '../inventory.ts';
import { type RestrictionChange, restrictVm } from './restrictions.ts';

const GUEST = vmId.parse(VM.replace('csp-a', 'csp-b'));
const OWNER = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=';
const TIGHT: VmRestrictions = { project: 'p', labels: ['a'], level: 2, jurisdictions: ['DE'], onward: false, legalHold: true };

function holding(vm: typeof VM, restrictions?: VmRestrictions, isMoving = false) {
  let held: HeldVm = {
    vm,
    host: hostName.parse('hv1'),
    epoch: 1,
    spec: restrictions === undefined ? SPEC : { ...SPEC, restrictions },
  };
  const ports: Parameters<typeof restrictVm>[0] = {
    self: 'csp-a.example',
    inventory: {
      vm: async (asked) => (asked === vm ? held : undefined),
      restrict: async (_, next) => {
        held = { ...held, spec: { ...held.spec, restrictions: next } };
      },
    },
    isMoving: async () => isMoving,
    alone: async (_, work) => ({ held: true, value: await work(new AbortController().signal) }),
    roleOf: (principal) => (principal === 'administrator' ? ['administrator'] : ['operator']),
  };
  return { ports, now: () => held.spec.restrictions };
}

describe('restrictions', () => {
  it.each<readonly [string, typeof VM, RestrictionChange, string, Partial<VmRestrictions>]>([
    [
      'are tightened by an operator',
      VM,
      { level: 3, labels: ['a', 'b'], jurisdictions: [] },
      'operator',
      { level: 3, labels: ['a', 'b'], jurisdictions: [] },
    ],
    ['of a guest too', GUEST, { level: 3 }, 'operator', { level: 3 }],
    [
      'are loosened by an administrator at home',
      VM,
      { level: 0, jurisdictions: null, onward: true },
      'administrator',
      { level: 0, onward: true, jurisdictions: undefined },
    ],
    ['an owner is named at home', VM, { owner: OWNER }, 'operator', { owner: OWNER }],
    ['a hold is lifted by an administrator', GUEST, { legalHold: false }, 'administrator', { legalHold: false }],
  ])('%s', async (_, vm, change, principal, expected) => {
    const { ports, now } = holding(vm, TIGHT);
    expect(await restrictVm(ports, vm, change, { principal })).toMatchObject({ ok: true });
    expect(now()).toEqual(JSON.parse(JSON.stringify({ ...TIGHT, ...expected })));
  });

  it.each<readonly [string, typeof VM, RestrictionChange, string, string]>([
    ['of a guest name no owner', GUEST, { owner: OWNER }, 'administrator', 'RESTRICTIONS_LOOSENED'],
    ['of a guest are loosened by nobody', GUEST, { level: 1 }, 'administrator', 'RESTRICTIONS_LOOSENED'],
    ['of a guest grow by no jurisdiction', GUEST, { jurisdictions: null }, 'administrator', 'RESTRICTIONS_LOOSENED'],
    ['of a guest stay in its project', GUEST, { project: 'q' }, 'administrator', 'RESTRICTIONS_LOOSENED'],
    ['at home are not loosened by an operator', VM, { onward: true }, 'operator', 'ROLE_MISSING'],
    ['a hold is not lifted by an operator', VM, { legalHold: false }, 'operator', 'ROLE_MISSING'],
    ['of what is not here are not set', vmId.parse(VM.replace('csp-a', 'csp-c')), { level: 3 }, 'operator', 'VM_UNKNOWN'],
  ])('%s', async (_, vm, change, principal, code) => {
    const { ports, now } = holding(vm === GUEST ? GUEST : VM, TIGHT);
    expect(await restrictVm(ports, vm, change, { principal })).toMatchObject({ ok: false, code });
    expect(now()).toEqual(TIGHT);
  });

  it('stay while the VM moves: the intent quotes them', async () => {
    const { ports, now } = holding(VM, TIGHT, true);
    expect(await restrictVm(ports, VM, { level: 3 }, { principal: 'operator' })).toMatchObject({ ok: false, code: 'VM_MOVING' });
    expect(now()).toEqual(TIGHT);
  });

  it('are not loosened by an administrator’s credential that is good for less', async () => {
    const { ports, now } = holding(VM, TIGHT);
    const less = { principal: 'administrator', onlyRoles: ['operator'] } as const;
    expect(await restrictVm(ports, VM, { legalHold: false }, less)).toMatchObject({ ok: false, code: 'ROLE_MISSING' });
    expect(now()).toEqual(TIGHT);
  });

  it('begin with none', async () => {
    const { ports, now } = holding(VM);
    await restrictVm(ports, VM, { legalHold: true }, { principal: 'operator' });
    expect(now()).toEqual({ project: 'default', labels: [], level: 0, onward: true, legalHold: true });
  });
});

it('an owner, once named, is changed and removed by an administrator at home alone', async () => {
  const owned = { ...TIGHT, owner: OWNER };
  for (const owner of [null, OWNER.replace('A', 'B')]) {
    for (const [vm, principal, code] of [
      [VM, 'operator', 'ROLE_MISSING'],
      [GUEST, 'administrator', 'RESTRICTIONS_LOOSENED'],
    ] as const) {
      const { ports, now } = holding(vm, owned);
      expect(await restrictVm(ports, vm, { owner }, { principal })).toMatchObject({ ok: false, code });
      expect(now()).toEqual(owned);
    }
    const { ports, now } = holding(VM, owned);
    expect(await restrictVm(ports, VM, { owner }, { principal: 'administrator' })).toMatchObject({ ok: true });
    expect(now()?.owner ?? null).toBe(owner);
  }
});
