import type { VmId } from '@carnet/events';
import { refused, type Setback } from './codes.ts';
import type { HostPaths } from './host-paths.ts';
import type { HostFiles } from './ports/files.ts';

type Where = { readonly files: Pick<HostFiles, 'read' | 'write'>; readonly paths: HostPaths };

/**
 * Whether the UUID is another VM's on this host. Files, domain and saved memory go by it alone, and a peer names its VMs as it likes. Threat: a third CSP
 * calls a VM of its own by the UUID of one that is arriving here, and withdraws: what undoes its move would write the other's register, cut its
 * power and shred what it staged.
 */
export async function uuidFault({ files, paths }: Where, vm: VmId): Promise<Setback | undefined> {
  const claimed = await files.read(paths.claim(vm));
  return claimed === undefined || claimed.toString() === vm ? undefined : refused('VM_PRESENT', 'Another VM has its UUID.');
}

/** From the first promise or step on the UUID is this VM's here, for ever. Steps of one UUID stand in one line: nobody comes between look and claim. */
export async function claimUuid({ files, paths }: Where, vm: VmId): Promise<void> {
  if ((await files.read(paths.claim(vm))) === undefined) await files.write(paths.claim(vm), Buffer.from(vm));
}
