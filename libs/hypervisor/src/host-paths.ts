import { join } from 'node:path';
import type { ArtifactId, Epoch, VmId } from '@carnet/events';

/** A host's own folders. `tmpfsDir` must be a tmpfs; staging lies beside the volumes so that a rename takes a volume over. */
export type HostFolders = {
  readonly stateDir: string;
  readonly volumesDir: string;
  readonly tmpfsDir: string;
  readonly bootDir: string;
  readonly importDir: string;
  /** libvirt's own: a folder for each VM with a vTPM, named by its UUID. */
  readonly vtpmDir: string;
};

/** How the names of sealed memory end. */
export const SEALED_MEMORY = '.state';
/** One that is being sealed, or was when its agent died. */
export const HALF_SEALED_MEMORY = `${SEALED_MEMORY}.partial`;

/** libvirt's UUID of a VM: the part after the home domain. */
export const uuidOf = (vm: VmId): string => vm.slice(vm.indexOf('/') + 1);

/**
 * Where a host keeps what. Names come from UUIDs and digests that schemas have checked, never from text of a peer, so none can
 * leave its folder.
 */
export const hostPaths = (folders: HostFolders) => ({
  ...folders,
  fence: (vm: VmId) => join(folders.stateDir, 'fence', `${uuidOf(vm)}.json`),
  fenceDir: join(folders.stateDir, 'fence'),
  /** The broker's leave to run the VM, for libvirt's hook. */
  permit: (vm: VmId) => join(folders.stateDir, 'permits', `${uuidOf(vm)}.json`),
  /** Which VM has this UUID here. */
  claim: (vm: VmId) => join(folders.stateDir, 'claims', uuidOf(vm)),
  steps: (vm: VmId) => join(folders.stateDir, 'steps', `${uuidOf(vm)}.jsonl`),
  spec: (vm: VmId) => join(folders.stateDir, 'vms', `${uuidOf(vm)}.json`),
  specDir: join(folders.stateDir, 'vms'),
  lease: (vm: VmId, epoch: Epoch) => join(folders.stateDir, 'leases', `${uuidOf(vm)}-${epoch}.json`),
  leaseDir: join(folders.stateDir, 'leases'),
  home: (vm: VmId) => join(folders.volumesDir, uuidOf(vm)),
  volume: (vm: VmId, artifact: ArtifactId) => join(folders.volumesDir, uuidOf(vm), `${artifact}.qcow2`),
  /** Ciphertext of the saved memory. */
  sealedMemory: (vm: VmId, artifact: ArtifactId) => join(folders.volumesDir, uuidOf(vm), `${artifact}${SEALED_MEMORY}`),
  halfSealedMemory: (vm: VmId, artifact: ArtifactId) => join(folders.volumesDir, uuidOf(vm), `${artifact}${HALF_SEALED_MEMORY}`),
  /** What swtpm keeps of a vTPM, ciphertext. */
  vtpmHome: (vm: VmId) => join(folders.vtpmDir, uuidOf(vm)),
  vtpmStateDir: (vm: VmId) => join(folders.vtpmDir, uuidOf(vm), 'tpm2'),
  vtpmState: (vm: VmId) => join(folders.vtpmDir, uuidOf(vm), 'tpm2', 'tpm2-00.permall'),
  /** Its copy while the VM moves. */
  sealedVtpm: (vm: VmId, artifact: ArtifactId) => join(folders.volumesDir, uuidOf(vm), `${artifact}.vtpm`),
  console: (vm: VmId) => join(folders.volumesDir, uuidOf(vm), 'serial.log'),
  /** What arrives for one epoch: apart from anything this host may still hold of the VM. */
  staging: (vm: VmId, epoch: Epoch) => join(folders.volumesDir, 'staging', `${uuidOf(vm)}-${epoch}`),
  staged: (vm: VmId, epoch: Epoch, artifact: ArtifactId) =>
    join(folders.volumesDir, 'staging', `${uuidOf(vm)}-${epoch}`, artifact),
  /** Beside a staged volume while it is encrypted again: the new one until it is whole, the old one until it is gone. */
  rekeying: (vm: VmId, epoch: Epoch, artifact: ArtifactId) =>
    join(folders.volumesDir, 'staging', `${uuidOf(vm)}-${epoch}`, `${artifact}.rekeying`),
  rekeyed: (vm: VmId, epoch: Epoch, artifact: ArtifactId) =>
    join(folders.volumesDir, 'staging', `${uuidOf(vm)}-${epoch}`, `${artifact}.replaced`),
  /** While a running VM's volume is encrypted again: the new one, under which name the guest has it open until it stops, and the old one until it is gone. */
  reencrypted: (vm: VmId, artifact: ArtifactId) => join(folders.volumesDir, uuidOf(vm), `${artifact}.reencrypted`),
  replacedOnline: (vm: VmId, artifact: ArtifactId) => join(folders.volumesDir, uuidOf(vm), `${artifact}.replaced`),
  clearMemory: (vm: VmId) => join(folders.tmpfsDir, `${uuidOf(vm)}.save`),
  /** While the agent itself starts a held VM. In tmpfs: no reboot brings one back. */
  startTicket: (vm: VmId) => join(folders.tmpfsDir, `${uuidOf(vm)}.start`),
});
export type HostPaths = ReturnType<typeof hostPaths>;
