/** Every bound of a host's work, with its reason. */

/** Volumes, manifests and console of one VM are named by us, so this bounds only what a command may carry. Bytes of one signed command. */
export const COMMAND_BYTES_MAX = 65_536;
/** Base64 characters of one sealed secret: a hybrid KEM ciphertext (1,120 bytes), a 32-byte DEK and its tag, in an envelope of text. */
export const SEALED_SECRET_CHARS_MAX = 8_192;
/**
 * VMs of one hello, as JSON, in bytes: with certificates and keys beside them the envelope stays below `EVENT_BYTES_MAX`, and a host with
 * more VMs says its hello in parts. A VM takes some 160 bytes.
 */
export const HELLO_VMS_BYTES_MAX = 30_000;
/** Attempts of one step: far more than any operator repeats, and still a small integer in every log. */
export const ATTEMPTS_MAX = 10_000;
/** Bytes of one fence entry on disk. A larger file is not ours. */
export const FENCE_FILE_BYTES_MAX = 4_096;
/** Bytes of one VM's step log. A VM takes some 40 records of about 2 KiB per migration; 64 MiB are eight hundred moves. */
export const STEP_LOG_BYTES_MAX = 67_108_864;
/** From here on the log forgets what it need not know: people who switch a VM on and off every second shall not fill it. */
export const STEP_LOG_BYTES_LARGE = 4_194_304;
/** Milliseconds for which a command of people is remembered there. A repeat of it is good for some minutes (its deadline), by clocks that differ by seconds. */
export const PEOPLE_REMEMBERED_MS = 900_000;
/** Seconds that a guest gets to shut itself down before its power is cut, at most. */
export const GRACE_SECONDS_MAX = 600;
/** Seconds for which life signs are awaited, at most: a guest under TCG boots in 5–10 s, a large one on a busy host in minutes. */
export const OBSERVE_SECONDS_MAX = 900;
/** Milliseconds between two looks at a VM while waiting for it. libvirt answers in 0.3 ms, so this costs nothing. */
export const POLL_MS = 200;
/** A step answers itself within this time, or `running`: a broker's request must not wait on a copy of gigabytes. Milliseconds. */
export const REPLY_WITHIN_MS = 1_500;
/** Steps of different VMs at work at once, in each pool of places: each may hold a 64 MiB transfer or a qemu-img process. */
export const STEPS_AT_ONCE_DEFAULT = 4;
/** Chunk of a sealed artifact, in bytes: 1 MiB travels fastest (facts of the data path). */
export const CHUNK_BYTES_DEFAULT = 1_048_576;
/** LUKS PBKDF2 time, in milliseconds. Safe only because the passphrase is 256 random bits: stretching adds nothing to it. */
export const LUKS_ITER_TIME_MS = 10;
/**
 * Hash of the key derivation. QEMU first times 32,768 rounds of it by the kernel's CPU clock, and gives up where that clock did not move:
 * ticks of 4 ms on many kernels, and SHA-256 needs less on many processors. SHA-512 takes several ticks.
 */
export const LUKS_HASH = 'sha512';
/** Runs of a qemu tool whose timing failed all the same (it was not running when the ticks fell). Each fails within a second. */
export const QEMU_TIMING_TRIES_MAX = 8;
/** Milliseconds for one qemu-img run on a header (create, info, open). Conversions have no fixed limit: they take what the image takes, and end with the agent. */
export const QEMU_IMG_MS_MAX = 60_000;
/** Key slots of a LUKS1 header (specification 1.2.3, section 3). */
export const LUKS_SLOTS = 8;
/** Bytes of a plain disk that becomes an image. Below, no guest has a disk; above, ext4 has no file. */
export const RAW_DISK_BYTES_MIN = 1_048_576;
export const RAW_DISK_BYTES_MAX = 2 ** 44;
/** A disk is whole sectors: what does not divide was cut short or is no disk. Bytes. */
export const SECTOR_BYTES = 512;
/** Bytes of qemu-img's diagnostics that are kept. */
export const TOOL_OUTPUT_BYTES_MAX = 65_536;
/** Bytes of LUKS header, qcow2 metadata and snapshots' room that a disk may take beyond its capacity: 1/64 of it and 32 MiB. */
export const DISK_OVERHEAD_DIVISOR = 64;
export const DISK_OVERHEAD_BYTES = 33_554_432;
/** MiB that QEMU itself takes beside the guest's memory (measured 60–90 under TCG). */
export const QEMU_OVERHEAD_MIB = 128;
/** Reports that wait for the bus before the oldest is dropped: notices inform, they carry no authority. */
export const NOTICES_WAITING_MAX = 256;
/** libvirt reconnect back-off: first and longest wait, in milliseconds. */
export const RECONNECT_MS_MIN = 100;
export const RECONNECT_MS_MAX = 5_000;
/** Steps at work or waiting on one host: more than that is a broker gone wrong. */
export const TASKS_WAITING_MAX = 1_024;
/** Looks at VMs at once, beside those steps: each takes libvirt and two small files some milliseconds. More are a libvirtd that hangs, or a flood. */
export const LOOKS_AT_ONCE_MAX = 64;
/** Ends of commands that are kept in memory for a repeat of the very same command. The durable answers are in the step log. */
export const ENDS_REMEMBERED_MAX = 1_024;
/** Milliseconds that a call waits for libvirtd to come back before it fails: covers a plain restart. */
export const CONNECTED_WITHIN_MS = 3_000;
/** Milliseconds that a save begun by an earlier run of the agent is waited for: 64 GiB at a slow 128 MiB/s. */
export const SAVE_MS_MAX = 512_000;
/** Saves that libvirt may refuse before the move is given up: another job of the domain passes within seconds, a dead vTPM never. */
export const SAVES_MAX = 3;
/** Milliseconds between them. */
export const SAVE_AGAIN_MS = 1_000;
/** Restores that libvirt may refuse before a source boots from its disks: what passes (libvirtd is short of something) passes in this time. */
export const RESTORES_MAX = 5;
/** Milliseconds between them. */
export const RESTORE_AGAIN_MS = 2_000;
/** Milliseconds that a start ticket counts, at most: libvirt asks its hook before it starts QEMU, within seconds on a busy host. */
export const START_TICKET_MS = 60_000;
/** Bytes of one kept run permit: an envelope of 1 KiB and four certificates. A larger file is not ours. */
export const PERMIT_FILE_BYTES_MAX = 65_536;
/** Bytes of a domain's XML as libvirt hands it to its hook: a large guest has some 50 KiB. */
export const DOMAIN_XML_BYTES_MAX = 4_194_304;
/** State of a vTPM, in bytes: swtpm 0.7 keeps some tens of kilobytes; a peer's is read whole, and swtpm parses it. */
export const VTPM_BYTES_MAX = 1_048_576;
