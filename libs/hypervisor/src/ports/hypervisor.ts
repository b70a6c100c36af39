import type { KeyId, VmId, VmSpec } from '@carnet/events';
import type { VmState } from '../command/result.ts';

/** What libvirt says of one domain. */
export type DomainFacts = {
  readonly uuid: string;
  readonly state: VmState;
  /** libvirt's reason of that state as virsh prints it: `booted`, `destroyed`, `saved`… */
  readonly reason: string;
  readonly autostart: boolean;
  /** Processor time since the domain started here, in milliseconds. */
  readonly vcpuTimeMs: number;
};

/** Everything a domain is made of: typed fields and this host's own paths. Never XML from elsewhere. */
export type DomainDefinition = {
  readonly vm: VmId;
  readonly uuid: string;
  readonly spec: VmSpec;
  readonly disks: readonly { readonly target: string; readonly path: string; readonly key: KeyId }[];
  /** Its state lies where libvirt keeps it: `HostPaths.vtpmState`. */
  readonly vtpm?: { readonly key: KeyId; readonly statePath: string };
  readonly boot:
    | { readonly kind: 'kernel'; readonly kernelPath: string; readonly initrdPath: string; readonly cmdline: string }
    | { readonly kind: 'disk' };
  readonly consolePath: string;
};

/** A LUKS secret as libvirt holds it: ephemeral (never on disk) and private (never read back). */
export type HostSecret = { readonly key: KeyId; readonly description: string; readonly value: Uint8Array };

/** A volume beside a running domain's disk, which takes on its content and may then take its place. */
export type DiskCopy = {
  /** The disk, as the guest's definition names it: `vda`. */
  readonly target: string;
  /** An existing LUKS volume in qcow2 of the disk's capacity, and the secret that opens it. */
  readonly path: string;
  readonly key: KeyId;
  /** Unlimited when absent. What the guest writes is never held back. */
  readonly bytesPerSecond?: number;
};

/** Bytes in the job's own measure: a guest that writes makes `totalBytes` grow. `ready`: both are alike, and stay so. */
export type DiskCopyState = { readonly doneBytes: number; readonly totalBytes: number; readonly ready: boolean };

export type DomainNotice = {
  readonly uuid: string | undefined;
  readonly event:
    | 'started'
    | 'stopped'
    | 'crashed'
    | 'paused'
    | 'resumed'
    | 'defined'
    | 'undefined'
    | 'libvirt-lost'
    | 'libvirt-back';
  readonly detail: string;
};

/**
 * What a host does with domains and secrets. Methods throw `HostError` (LIBVIRT_UNREACHABLE, LIBVIRT_FAILED) for accidents;
 * undoing what is not there succeeds. Real: `libvirtHypervisor`; in memory: `fakeHypervisor`; one contract suite for both.
 */
export type Hypervisor = {
  connection(): { readonly connected: boolean; readonly version: string };
  find(uuid: string): Promise<DomainFacts | undefined>;
  list(): Promise<readonly DomainFacts[]>;
  /** Defines or replaces; autostart is off. */
  define(definition: DomainDefinition): Promise<void>;
  undefine(uuid: string): Promise<void>;
  /** Off while a move is under way (protocol, section 8). */
  autostartOff(uuid: string): Promise<void>;
  /** Starts with its vCPUs paused: everything that can fail has failed before one instruction ran. */
  startHeld(uuid: string): Promise<void>;
  /** As `startHeld`, from saved memory, with this host's own definition in place of the file's. */
  restoreHeld(statePath: string, definition: DomainDefinition): Promise<void>;
  unpause(uuid: string): Promise<void>;
  /** Its vCPUs rest, and what it has written is with its disks. */
  pause(uuid: string): Promise<void>;
  /** Begins; the copy goes on without this process, and ends with the domain's. */
  beginCopy(uuid: string, copy: DiskCopy): Promise<void>;
  /** undefined: no copy is under way, also when the domain is off. */
  copyState(uuid: string, target: string): Promise<DiskCopyState | undefined>;
  /** `keep`: the disk stays where it is. `pivot`: the copy, flushed, is the disk from here on; it must be ready. */
  endCopy(uuid: string, target: string, how: 'keep' | 'pivot'): Promise<void>;
  /** Files of its disks: as the running process has opened them; of a domain that is off, as its definition names them. */
  diskFiles(uuid: string): Promise<readonly string[]>;
  requestShutdown(uuid: string): Promise<void>;
  powerOff(uuid: string): Promise<void>;
  /** Stops the domain and writes its memory, in clear, to `statePath`. */
  save(uuid: string, statePath: string): Promise<void>;
  putSecret(secret: HostSecret): Promise<void>;
  dropSecret(key: KeyId): Promise<void>;
  hasSecret(key: KeyId): Promise<boolean>;
  subscribe(listener: (notice: DomainNotice) => void): () => void;
  close(): Promise<void>;
};
