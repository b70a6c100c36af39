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

/** A running guest's disk: the volume that it is on, and a copy to another that is under way. */
export type DiskFacts = {
  readonly path: string;
  /** `ready`: both are alike, and stay so: the guest may go on on the other. Bytes by the job's own measure. */
  readonly copy?: { readonly state: 'copying' | 'ready'; readonly doneBytes: number; readonly totalBytes: number };
};

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
  /** Its vCPUs stand still, and what the guest had in flight is written. Paused already is done. */
  pause(uuid: string): Promise<void>;
  requestShutdown(uuid: string): Promise<void>;
  powerOff(uuid: string): Promise<void>;
  /** Stops the domain and writes its memory, in clear, to `statePath`. */
  save(uuid: string, statePath: string): Promise<void>;
  /** Undefined: no such guest runs or is paused. */
  disk(uuid: string, target: string): Promise<DiskFacts | undefined>;
  /** Begins to mirror a running guest's disk to an empty volume of its size; goes on without us, and ends with the guest. */
  copyDisk(uuid: string, target: string, to: { readonly path: string; readonly key: KeyId }): Promise<void>;
  /** The guest goes on on the copy, which is whole and flushed. LIBVIRT_FAILED before it is ready. */
  pivotDisk(uuid: string, target: string): Promise<void>;
  putSecret(secret: HostSecret): Promise<void>;
  dropSecret(key: KeyId): Promise<void>;
  hasSecret(key: KeyId): Promise<boolean>;
  subscribe(listener: (notice: DomainNotice) => void): () => void;
  close(): Promise<void>;
};
