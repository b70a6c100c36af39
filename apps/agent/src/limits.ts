/** Bounds of the agent, with their reasons. */

/** A hello this often, in milliseconds: a broker counts a host as down after three missed ones. */
export const HELLO_MS = 10_000;
/** Milliseconds between two hellos that were hailed: a broker that restarts knows its host within a second, a flood costs two signatures. */
export const HAIL_ANSWER_MS = 500;
/** Envelope of one command: base64 of COMMAND_BYTES_MAX and two signatures. */
export const COMMAND_ENVELOPE_BYTES_MAX = 131_072;
/** Commands under judgement at once: each costs one RSA verification. */
export const COMMANDS_AT_ONCE_MAX = 256;
/** Milliseconds between attempts to reach the bus. */
export const BUS_RECONNECT_MS = 1_000;
/** Milliseconds until an unanswered ping counts against the bus connection. */
export const BUS_PING_MS = 10_000;
/** Milliseconds to say the last words to a bus that may be away. */
export const BUS_DRAIN_MS_MAX = 2_000;
/** Leaves of our broker that are known at once: those of a few replicas, old and new. */
export const BROKER_CHAINS_MAX = 16;
/** One chain that was shown, in bytes: four certificates in base64. */
export const CHAIN_BYTES_MAX = 65_536;
/** Seconds that libvirt's hook may take: half a second in peace, several on a busy host; libvirt itself would wait for ever. */
export const HOOK_SECONDS_MAX = 30;
