import type { VmId } from '@carnet/events';

/**
 * Looks after VMs as hosts name them: one try at a time for each, and whoever is named meanwhile is named by the next hello again. `work` says itself what
 * went wrong.
 */
export function oneTryForEach(): (vm: VmId, work: () => Promise<unknown>) => void {
  const busy = new Set<VmId>();
  return (vm, work) => {
    if (busy.has(vm)) return;
    busy.add(vm);
    void work().finally(() => busy.delete(vm));
  };
}
