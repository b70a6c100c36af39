/** Why a host refuses or fails, and what to do next. Closed: brokers, tests and `carnet error` rely on it. */
export const HOST_CODES = {
  COMMAND_MALFORMED: { text: 'The command does not match its schema.', advice: 'Update the older of broker and agent.' },
  COMMAND_EXPIRED: {
    text: 'The command came after its deadline.',
    advice: 'Issue it again; compare the clocks of both machines.',
  },
  CRL_UNTRUSTED: {
    text: 'A revocation list came that this CSP’s broker did not sign over, or that cannot be read.',
    advice:
      'Nothing was kept. Compare brokerCertificateFile with the broker’s leaf; if they agree, somebody else speaks on the bus.',
  },
  COMMAND_UNTRUSTED: {
    text: 'The command is not signed by this cloud’s broker.',
    advice: 'Check the broker’s certificate and the CRL; look for an intruder on the bus.',
  },
  COMMAND_MISDIRECTED: {
    text: 'The command is for another host.',
    advice: 'Check the host names in the configuration of broker and agent.',
  },
  STEP_CONFLICT: {
    text: 'Another command for the same step is already recorded, with other content.',
    advice: 'Open a new epoch; never change a step’s content.',
  },
  HOST_BUSY: { text: 'The host performs as many steps as it may.', advice: 'Ask again later.' },
  HOST_DRAINING: { text: 'The agent is shutting down.', advice: 'Ask again when it is back.' },
  EPOCH_FENCED: { text: 'The host has seen a newer epoch of this VM.', advice: 'Nothing: this is an old attempt’s command.' },
  VM_FORSWORN: { text: 'The host swore never to run this epoch.', advice: 'Open a new epoch.' },
  VM_SURRENDERED: { text: 'The host gave this VM away.', advice: 'Run it where it went, or wait for the peer to relinquish it.' },
  VM_HELD: {
    text: 'The VM is stopped for a migration.',
    advice: 'Finish or withdraw the migration: then the host that has it starts it by itself.',
  },
  VM_MAY_HAVE_RUN: {
    text: 'A vCPU of this epoch may have run here, so the host cannot forswear it.',
    advice: 'Migrate the VM back instead.',
  },
  FENCE_UNREADABLE: {
    text: 'The fence register of this VM is missing or damaged.',
    advice: 'Restore nothing from a backup; ask the broker which epoch holds, then set it by hand.',
  },
  RUN_PERMIT_MISSING: {
    text: 'This host keeps no run permit of this VM.',
    advice: 'Start the VM through its broker: the command brings a permit.',
  },
  RUN_PERMIT_INVALID: {
    text: 'The run permit of this VM is damaged, or not this CSP’s broker signed it.',
    advice:
      'Start the VM through its broker: the command brings a new permit. If it repeats, look at who writes to the state folder.',
  },
  RUN_PERMIT_MISMATCH: {
    text: 'The run permit is for another VM, host or epoch.',
    advice: 'Start the VM through its broker: the command brings the right permit. Never copy permits between hosts.',
  },
  RUN_PERMIT_REVOKED: {
    text: 'The certificate that signed the run permit is revoked.',
    advice: 'Find out whether this VM should be here; then start it through its broker, which signs with its new certificate.',
  },
  STEP_LOG_DAMAGED: {
    text: 'The step log of this VM is damaged.',
    advice: 'Move the file away only after comparing it with the broker’s events.',
  },
  PROOF_MISSING: {
    text: 'A surrendered VM resumes only with the peer’s relinquishment.',
    advice: 'Wait for MigrationRelinquished, or break glass.',
  },
  VM_NOT_HERE: { text: 'This host has no such VM.', advice: 'Ask the broker where the VM is.' },
  VM_PRESENT: { text: 'This host already has this VM or its volumes.', advice: 'Delete or retire what is there first.' },
  NAME_TAKEN: { text: 'Another VM of this host has this name.', advice: 'Choose another host, or rename one of the VMs.' },
  VM_RUNNING: { text: 'The VM still runs.', advice: 'Stop it first.' },
  VM_NOT_RUNNING: { text: 'The VM does not run.', advice: 'Start it first, or move it cold.' },
  NOT_SURRENDERED: {
    text: 'The host still holds this VM.',
    advice: 'Surrender first; only a VM that was given away is retired.',
  },
  RESERVATION_MISSING: {
    text: 'No room is reserved for this epoch, or no longer.',
    advice: 'Withdraw; a new offer reserves room anew.',
  },
  NOT_FORSWORN: { text: 'The host may still start this VM.', advice: 'Forswear the epoch first, then destroy what arrived.' },
  ARTIFACT_UNSUPPORTED: { text: 'This kind of artifact cannot be moved yet.', advice: 'Move VMs without NVRAM.' },
  VTPM_STATE_MISSING: {
    text: 'The VM has a vTPM that has no state yet.',
    advice: 'Start the VM once, so that its vTPM is made; then move it.',
  },
  VTPM_STATE_REFUSED: {
    text: 'What the peer calls the state of a vTPM is larger than any is.',
    advice: 'Withdraw, and ask the source what its host sealed.',
  },
  ARTIFACT_MISSING: { text: 'An artifact is not on this host.', advice: 'Receive or create it first.' },
  SPEC_MISMATCH: { text: 'The VM is not what the command says it is.', advice: 'Inspect the VM and intend the migration again.' },
  IMAGE_REFUSED: {
    text: 'An image’s header is refused.',
    advice: 'A volume must be a plain encrypted qcow2; look at who made this one.',
  },
  IMAGE_NAME_TAKEN: {
    text: 'Another image has this name.',
    advice: 'Images never change: register it under another name.',
  },
  IMAGE_TAMPERED: {
    text: 'The stored image is not what was registered.',
    advice: 'Create no VM from it; find out who changed the store, and register the image anew under another name.',
  },
  IMPORT_MISSING: { text: 'The import folder has no such file.', advice: 'Put the file into the host’s import folder.' },
  IMPORT_REFUSED: {
    text: 'Only a regular file of the import folder can become an image.',
    advice: 'Copy the file itself there: no link, device or pipe.',
  },
  IMPORT_SIZE: {
    text: 'The size of the file is not that of a raw disk.',
    advice: 'Convert the image to raw; its size must be a multiple of 512 bytes, from 1 MiB to 16 TiB.',
  },
  IMAGE_UNKNOWN: { text: 'No such image is registered.', advice: 'List the images of this host.' },
  BOOT_IMAGE_UNKNOWN: {
    text: 'The host’s catalogue lacks this kernel or initrd.',
    advice: 'Put the file into the boot catalogue, named by its SHA-256.',
  },
  BOOT_IMAGE_TAMPERED: { text: 'A boot image’s content is not its name.', advice: 'Replace the file; find out who changed it.' },
  NO_ROOM: { text: 'The host lacks memory or disk room.', advice: 'Choose another host or a smaller VM.' },
  SECRET_REFUSED: {
    text: 'A sealed secret does not open here.',
    advice: 'The agent restarted with a new key: seal the secrets again.',
  },
  SECRET_MISSING: { text: 'The command lacks the secret of a disk.', advice: 'Send a sealed secret for each disk.' },
  LUKS_DOES_NOT_OPEN: {
    text: 'The key does not open the volume.',
    advice: 'Nothing was started; the migration is relinquished.',
  },
  HEADER_CHANGED: {
    text: 'The LUKS header is not the one that was agreed.',
    advice: 'Headers stay frozen until release: withdraw and begin anew.',
  },
  MEMORY_NOT_SAVED: {
    text: 'The memory of the VM cannot be saved.',
    advice: 'The VM runs on. Look at its vTPM and at the room on tmpfs; restart the VM if its vTPM is dead, or move it cold.',
  },
  MEMORY_STATE_LOST: { text: 'The saved memory state is gone.', advice: 'Withdraw: the VM resumes with a fresh boot.' },
  MEMORY_STATE_REFUSED: {
    text: 'The memory state is not a plain libvirt save file.',
    advice: 'Relinquish: the peer sent something else.',
  },
  TMPFS_REQUIRED: { text: 'Clear memory may be written to tmpfs only.', advice: 'Point tmpfsDir to a tmpfs.' },
  PEER_REFUSED: {
    text: 'The peer’s agent refused the transfer or is not the pinned one.',
    advice: 'Compare the pinned certificate with the peer’s.',
  },
  TRANSFER_FAILED: { text: 'The transfer broke off.', advice: 'Ask again: it resumes with what is missing.' },
  CHUNK_MISMATCH: {
    text: 'What arrived is not what was signed.',
    advice: 'Relinquish; keep the peer’s signed manifest as proof.',
  },
  GUEST_SILENT: { text: 'The guest shows no life.', advice: 'Look at its console; wait longer or migrate back.' },
  VM_CRASHED: { text: 'The VM stopped by itself.', advice: 'Look at the VM’s log on the host.' },
  LIBVIRT_UNREACHABLE: { text: 'libvirtd does not answer.', advice: 'Start libvirtd; the agent reconnects by itself.' },
  LIBVIRT_FAILED: { text: 'libvirt refused an operation.', advice: 'Look at libvirtd’s log on the host.' },
  TOOL_FAILED: { text: 'qemu-img failed.', advice: 'Look at the agent’s log.' },
  DISK_FAILED: { text: 'The host’s file system failed.', advice: 'Look at the agent’s log and at the disk.' },
  STEP_ABORTED: { text: 'The step was interrupted.', advice: 'Ask again.' },
  INTERNAL: { text: 'The agent met a case that it does not know.', advice: 'Report it with the agent’s log.' },
} as const;

export type HostCode = keyof typeof HOST_CODES;

/** A rule said no (`refused`), or an accident happened (`failed`, retried by the broker when `retryable`). */
export type Setback = {
  readonly status: 'refused' | 'failed';
  readonly code: HostCode;
  readonly text: string;
  readonly retryable: boolean;
};

const withDetail = (code: HostCode, detail?: string): string =>
  detail === undefined ? HOST_CODES[code].text : `${HOST_CODES[code].text} ${detail}`;

export const refused = (code: HostCode, detail?: string): Setback => ({
  status: 'refused',
  code,
  text: withDetail(code, detail),
  retryable: false,
});

export const failed = (code: HostCode, detail?: string): Setback => ({
  status: 'failed',
  code,
  text: withDetail(code, detail),
  retryable: true,
});

/** Carries a setback through code that cannot return one (callbacks, deep effects). Never crosses the lib's edge. */
export class HostError extends Error {
  override readonly name = 'HostError';
  readonly setback: Setback;
  constructor(setback: Setback, options?: ErrorOptions) {
    super(setback.text, options);
    this.setback = setback;
  }
}
