/*
 * libvirt's flag words as sets of names. Values are bits of the public API (libvirt-domain.h and its siblings).
 */

export const DEFINE_FLAGS = { validate: 1 } as const;
export const CREATE_FLAGS = {
  paused: 1,
  /** The guest dies with this connection. */
  autodestroy: 2,
  'bypass-cache': 4,
  /** Ignores a managed save image. */
  'force-boot': 8,
  validate: 16,
  'reset-nvram': 32,
} as const;
export const DESTROY_FLAGS = { graceful: 1, 'remove-logs': 2 } as const;
export const UNDEFINE_FLAGS = {
  'managed-save': 1,
  'snapshots-metadata': 2,
  nvram: 4,
  'keep-nvram': 8,
  'checkpoints-metadata': 16,
  tpm: 32,
  'keep-tpm': 64,
} as const;
export const SHUTDOWN_FLAGS = { acpi: 1, agent: 2, initctl: 4, signal: 8, paravirt: 16 } as const;
export const XML_FLAGS = {
  /** With passwords; the connection must be writable. */
  secure: 1,
  /** What the next start will use, not what runs. */
  inactive: 2,
  'update-cpu': 4,
  migratable: 8,
} as const;
export const SAVE_FLAGS = {
  'bypass-cache': 1,
  /** State after the restore, whatever it was at the save. */
  running: 2,
  paused: 4,
  'reset-nvram': 8,
} as const;
export const LIST_FLAGS = {
  active: 1,
  inactive: 2,
  persistent: 4,
  transient: 8,
  running: 16,
  paused: 32,
  shutoff: 64,
  other: 128,
  'managed-save': 256,
  'no-managed-save': 512,
  autostart: 1024,
  'no-autostart': 2048,
} as const;
export const MIGRATE_FLAGS = {
  live: 1,
  peer2peer: 2,
  tunnelled: 4,
  'persist-dest': 8,
  'undefine-source': 16,
  paused: 32,
  /** Disks are copied. */
  'non-shared-disk': 64,
  'non-shared-inc': 128,
  'change-protection': 256,
  unsafe: 512,
  offline: 1024,
  compressed: 2048,
  'abort-on-error': 4096,
  'auto-converge': 8192,
  'rdma-pin-all': 16_384,
  postcopy: 32_768,
  /** Memory and disks travel inside TLS. */
  tls: 65_536,
  parallel: 131_072,
  'non-shared-synchronous-writes': 262_144,
  'postcopy-resume': 524_288,
  'zero-copy': 1_048_576,
} as const;
export const BLOCK_COPY_FLAGS = {
  shallow: 1,
  /** The volume is there already, as large as the disk or larger. */
  'reuse-external': 2,
  /** Ends with the guest; what a persistent domain requires. */
  'transient-job': 4,
  /** What the guest writes goes to both volumes before it is told done: the copy converges whatever it writes. */
  'synchronous-writes': 8,
} as const;
export const BLOCK_JOB_ABORT_FLAGS = {
  /** Settles when asked; the notice says when it is over. */
  async: 1,
  pivot: 2,
} as const;
export const JOB_STATS_FLAGS = { completed: 1, 'keep-completed': 2 } as const;
export const SECRET_LIST_FLAGS = { ephemeral: 1, 'not-ephemeral': 2, private: 4, 'not-private': 8 } as const;
export const POOL_CREATE_FLAGS = { build: 1, 'build-overwrite': 2, 'build-no-overwrite': 4 } as const;
export const POOL_BUILD_FLAGS = { repair: 1, resize: 2, 'no-overwrite': 4, overwrite: 8 } as const;
export const POOL_DELETE_FLAGS = { zeroed: 1 } as const;
export const POOL_XML_FLAGS = { inactive: 1 } as const;
export const POOL_LIST_FLAGS = {
  inactive: 1,
  active: 2,
  persistent: 4,
  transient: 8,
  autostart: 16,
  'no-autostart': 32,
} as const;
export const VOLUME_CREATE_FLAGS = { 'preallocate-metadata': 1, reflink: 2 } as const;
export const VOLUME_DELETE_FLAGS = { zeroed: 1, 'with-snapshots': 2 } as const;
export const VOLUME_RESIZE_FLAGS = { allocate: 1, delta: 2, shrink: 4 } as const;
export const CHECKPOINT_CREATE_FLAGS = { redefine: 1, quiesce: 2, 'redefine-validate': 4 } as const;
export const CHECKPOINT_DELETE_FLAGS = { children: 1, 'metadata-only': 2, 'children-only': 4 } as const;
export const CHECKPOINT_LIST_FLAGS = { roots: 1, topological: 2, leaves: 4, 'no-leaves': 8 } as const;
export const CHECKPOINT_XML_FLAGS = { secure: 1, 'no-domain': 2, size: 4 } as const;
export const BACKUP_FLAGS = { 'reuse-external': 1 } as const;
export const MONITOR_FLAGS = { hmp: 1 } as const;

/** A set of names of one of the tables above. */
export type Flags<Table> = readonly (keyof Table)[];

/** The flag word of such a set. Naming a flag twice is naming it once. */
export function flagWord<Table extends Readonly<Record<string, number>>>(table: Table, names: Flags<Table> = []): number {
  // `>>> 0` keeps bit 31 an unsigned word.
  return names.reduce((word, name) => (word | (table[name] ?? 0)) >>> 0, 0);
}
