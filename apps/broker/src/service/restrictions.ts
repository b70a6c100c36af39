import { type VmId, type VmRestrictions, vmRestrictions } from '@carnet/events';
import { homeOf, loosened, loosenedAway, type Role, restrictionsOf } from '@carnet/policy';
import type { AloneWith } from '../alone.ts';
import type { HeldVm, Inventory } from '../inventory.ts';
import type { ServiceRefusal, ServiceResult } from './result.ts';

export interface RestrictionPorts {
  readonly self: string;
  readonly inventory: Pick<Inventory, 'vm' | 'restrict'>;
  readonly isMoving: (vm: VmId) => Promise<boolean>;
  readonly alone: AloneWith;
  readonly roleOf: (principal: string) => readonly Role[];
}

/** What is to change; absent: stays. `jurisdictions: null`: any. `owner: null`: nobody; `accreditations: null`: none. */
export type RestrictionChange = {
  readonly [K in 'project' | 'labels' | 'level' | 'onward' | 'legalHold']?: VmRestrictions[K];
} & { readonly [K in 'jurisdictions' | 'owner' | 'accreditations']?: VmRestrictions[K] | null };

/** Who changes it, and what the credential is good for; absent: all that the policy set gives. */
export interface Changing {
  readonly principal: string;
  readonly onlyRoles?: readonly Role[];
}

const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });

/**
 * Changes what is said of a VM, alone with it: an intent that is being decided quotes what was true. Loosening is an administrator's at
 * the VM's home, and nobody's elsewhere; lifting a hold is an administrator's anywhere.
 */
export async function restrictVm(
  ports: RestrictionPorts,
  vm: VmId,
  change: RestrictionChange,
  who: Changing,
): Promise<ServiceResult<HeldVm>> {
  const done = await ports.alone(vm, () => restrictAlone(ports, vm, change, who));
  return done.held ? done.value : refuse('VM_MOVING', `somebody else decides about ${vm}`);
}

async function restrictAlone(
  ports: RestrictionPorts,
  vm: VmId,
  change: RestrictionChange,
  who: Changing,
): Promise<ServiceResult<HeldVm>> {
  const held = await ports.inventory.vm(vm);
  if (held === undefined) return refuse('VM_UNKNOWN', `${vm} is not held by ${ports.self}`);
  if (await ports.isMoving(vm)) return refuse('VM_MOVING', `${vm} is in a migration that has not ended`);
  const before = restrictionsOf(held.spec);
  const after = changed(before, change);
  const isAdministrator =
    ports.roleOf(who.principal).includes('administrator') && who.onlyRoles?.includes('administrator') !== false;
  const notAway = homeOf(vm) === ports.self ? undefined : loosenedAway(before, after);
  if (notAway !== undefined) return refuse('RESTRICTIONS_LOOSENED', `${vm} is a guest: ${notAway}`);
  const looser = loosened(before, after);
  if (looser !== undefined && !isAdministrator) return refuse('ROLE_MISSING', `an administrator loosens: ${looser}`);
  if (before.legalHold && !after.legalHold && !isAdministrator)
    return refuse('ROLE_MISSING', 'an administrator lifts a legal hold');
  await ports.inventory.restrict(vm, after);
  return { ok: true, value: { ...held, spec: { ...held.spec, restrictions: after } } };
}

function changed(
  { jurisdictions: had, owner: belonged, accreditations: demanded, ...before }: VmRestrictions,
  { jurisdictions = had, owner = belonged, accreditations = demanded, ...change }: RestrictionChange,
): VmRestrictions {
  return vmRestrictions.parse({
    ...before,
    ...change,
    ...(jurisdictions === undefined || jurisdictions === null ? {} : { jurisdictions }),
    ...(owner === undefined || owner === null ? {} : { owner }),
    ...(accreditations === undefined || accreditations === null ? {} : { accreditations }),
  });
}
