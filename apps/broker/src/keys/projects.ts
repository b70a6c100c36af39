import type { TrustDomain, VmId, VmSpec } from '@carnet/events';
import { type Tenant, tenant } from '@carnet/keys';
import { homeOf, restrictionsOf } from '@carnet/policy';

/**
 * Under whose KEK the keys of a VM lie: its project's. A project's name means something at the VM's home only, so of a guest the home
 * stands before it, as in policies.
 */
export function tenantOf(self: TrustDomain, vm: VmId, spec: Pick<VmSpec, 'restrictions'>): Tenant {
  const { project } = restrictionsOf(spec);
  const home = homeOf(vm);
  return tenant.parse(home === self ? project : `${home}/${project}`);
}
