/** How often a starter looks again whether its daemon is ready or gone. */
export const POLL_MS = 20;
/** `eventually` asks real parts, and costs them something each time. */
export const POLL_MS_MAX = 100;

/** A daemon that is not ready by then is broken; the slowest seen (libvirtd on a busy 2-core machine) took 4 s. */
export const READY_MS_MAX = 60_000;

/** Grace after the polite signal. PostgreSQL's checkpoint and libvirtd's drain end well below it. */
export const STOP_MS_MAX = 15_000;

/** After SIGKILL only the kernel is at work: longer means a process stuck in the kernel. */
export const KILL_MS_MAX = 5_000;

/** While this process is exiting it can only block: keep Ctrl-C feeling immediate. */
export const EXIT_WAIT_MS_MAX = 2_000;

/** What of a daemon's log an error quotes: one screen. */
export const LOG_TAIL_LINES = 40;

/** sockaddr_un.sun_path is 108 bytes with the closing NUL (unix(7)). */
export const SOCKET_PATH_BYTES_MAX = 107;

/**
 * Longest directory of a host: QEMU's monitor socket adds up to 67 bytes below it
 * (`cfg/libvirt/qemu/lib/domain-<id, 4 digits>-<20 letters of the name>/monitor.sock`).
 */
export const HOST_DIR_BYTES_MAX = 40;

/** Longest scratch directory: leaves a host's directory in it a name of seven letters. */
export const SCRATCH_PATH_BYTES_MAX = 32;

/** A free port may be taken between asking and binding: tries with another one. */
export const PORT_TRIES_MAX = 3;

/** A tool that only looks or creates a file ends in seconds; `initdb` on a slow disk is the longest. */
export const COMMAND_MS_MAX = 60_000;

/** How many names a leftover report shows of a directory. */
export const LEFTOVER_FILES_MAX = 20;
