/** Bounds of what a peer may ask for, with their reasons. */

/** Ahead of now, in milliseconds: a reservation of room lasts until the deadline, so a peer may not hold it for years. The longest that a configuration allows, and an hour of clocks and delays. */
export const DEADLINE_MS_MAX = 608_400_000;
/** A VM moves once a minute for a thousand years. A host never forgets an epoch: one near the end of the integers would be the VM's last. */
export const EPOCH_MAX = 1_000_000_000;
/** Bytes of an image beyond its capacity: LUKS header and qcow2 metadata, as hosts reserve them: 1/64 and 32 MiB. */
export const OVERHEAD_DIVISOR = 64;
export const OVERHEAD_BYTES = 33_554_432;
/** Bytes of a saved memory state beyond the guest's memory: devices, video memory, the seal. As hosts reserve them. */
export const MEMORY_OVERHEAD_BYTES = 134_217_728;
