/** Why a call or a connection failed. Closed: a new way to fail is a new member. */
export type LibvirtErrorCode =
  /** Socket or TLS never came up. */
  | 'CONNECT_FAILED'
  /** TLS stands, but the server did not admit our certificate (no confirmation byte). */
  | 'PEER_REFUSED'
  /** The daemon wants SASL or polkit; this client speaks neither. */
  | 'AUTH_UNSUPPORTED'
  | 'VERSION_UNSUPPORTED'
  /** The socket ended under us. */
  | 'CONNECTION_LOST'
  /** The caller closed the connection. */
  | 'CONNECTION_CLOSED'
  /** The socket is open, but nothing came back for too long. */
  | 'KEEPALIVE_TIMEOUT'
  /** The other side sent what the protocol forbids; the connection is cut. */
  | 'PROTOCOL_VIOLATION'
  | 'CALL_TIMEOUT'
  | 'CALL_ABORTED'
  /** More calls wait than `CALLS_QUEUED_MAX`. */
  | 'QUEUE_FULL'
  /** The caller's value does not fit the wire: too long, a NUL in a string, a malformed UUID. */
  | 'ARGUMENT_INVALID'
  /** libvirt answered with an error; see `remote`. */
  | 'REMOTE';

/**
 * What is known of a failed call's doing. `none`: it never reached the daemon, or the daemon says it
 * failed. `unknown`: it was sent and no answer came, so it may have happened: look before repeating.
 */
export type Effect = 'none' | 'unknown';

/** libvirt's own error (virterror.h). */
export type RemoteReport = {
  /** virErrorNumber, see `RemoteErrorNumber`. */
  readonly code: number;
  /** virErrorDomain: the subsystem that raised it, e.g. 10 is QEMU. */
  readonly domain: number;
  readonly level: 'none' | 'warning' | 'error' | 'unknown';
  readonly message: string;
};

export type LibvirtErrorOptions = {
  readonly effect?: Effect;
  readonly remote?: RemoteReport;
  readonly cause?: unknown;
};

/** Every failure of this library. */
export class LibvirtError extends Error {
  readonly code: LibvirtErrorCode;
  readonly effect: Effect;
  readonly remote: RemoteReport | undefined;

  constructor(code: LibvirtErrorCode, message: string, options: LibvirtErrorOptions = {}) {
    super(`${code}: ${message}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'LibvirtError';
    this.code = code;
    this.effect = options.effect ?? 'none';
    this.remote = options.remote;
  }
}

/** virErrorNumber by name: those a caller has reason to tell apart. Append-only in libvirt. */
export const RemoteErrorNumber = {
  INTERNAL_ERROR: 1,
  NO_SUPPORT: 3,
  INVALID_ARG: 8,
  OPERATION_FAILED: 9,
  XML_ERROR: 27,
  OPERATION_DENIED: 29,
  XML_DETAIL: 35,
  SYSTEM_ERROR: 38,
  RPC: 39,
  NO_DOMAIN: 42,
  AUTH_FAILED: 45,
  NO_STORAGE_POOL: 49,
  NO_STORAGE_VOL: 50,
  OPERATION_INVALID: 55,
  INVALID_SECRET: 65,
  NO_SECRET: 66,
  CONFIG_UNSUPPORTED: 67,
  OPERATION_TIMEOUT: 68,
  ARGUMENT_UNSUPPORTED: 74,
  OPERATION_ABORTED: 78,
  MIGRATE_UNSAFE: 81,
  OPERATION_UNSUPPORTED: 84,
  RESOURCE_BUSY: 87,
  ACCESS_DENIED: 88,
  STORAGE_VOL_EXIST: 90,
  NO_DOMAIN_CHECKPOINT: 103,
  NO_DOMAIN_BACKUP: 104,
} as const;

/** True when libvirt itself answered with that error, e.g. `isRemoteError(error, 'NO_DOMAIN')`. */
export function isRemoteError(error: unknown, name: keyof typeof RemoteErrorNumber): error is LibvirtError {
  return error instanceof LibvirtError && error.remote?.code === RemoteErrorNumber[name];
}
