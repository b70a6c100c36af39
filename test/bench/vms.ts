import type { Cloud } from '../faults/harness/cloud.ts';
import { createVm, type Vm } from '../faults/harness/moves.ts';
import { say } from './result.ts';

/** Keys are made in batches: VMs that are made together share one. */
const VMS_AT_ONCE = 20;
const SAID_EVERY_VMS = 100;

export async function createVms(cloud: Cloud, count: number): Promise<readonly Vm[]> {
  const vms: Vm[] = [];
  for (let left = count; left > 0; left -= VMS_AT_ONCE) {
    vms.push(...(await Promise.all(Array.from({ length: Math.min(VMS_AT_ONCE, left) }, () => createVm(cloud)))));
    if (vms.length % SAID_EVERY_VMS === 0) say(`${vms.length} are there`);
  }
  return vms;
}
