/**
 * Waits for what must come, however long it takes. That both run, that an event is lost or stands twice, or that something is left behind, shows
 * only in their not ending: that is no matter of time.
 */
const MUST_COME = [
  'NOT_READY: equal (ledgers|checkpoints)',
  'NOT_READY: every event',
  'NOT_READY: nothing ',
  'NOT_READY: the VM at (exactly one side|one side|B only)',
  // Both sides say that it has ended, and not alike.
  '[^|]*"ended":true[^|]*\\|.*"ended":true',
];

/** How it is said that somebody did not wait any longer: by vitest, by our helpers, by those whom they ask, and by Playwright. */
const TOO_LATE = [
  '(Test|Hook) timed out in \\d+ms',
  '.* within \\d+ ms',
  'NOT_READY: .* was not ready after \\d+ ms',
  'STILL_RUNNING: .* outlived \\w+ by \\d+ ms',
  '(COMMAND_FAILED: .*: )?spawnSync \\S+ ETIMEDOUT',
  'UNREACHABLE: .*: The operation was aborted',
  'Query read timeout',
  'timeout exceeded when trying to connect',
  'timeout(\\n|$)', // of the NATS client
  '\\S+: Timeout \\d+ms exceeded',
  'the migration has not ended',
];

/**
 * Messages of failures that a busy machine explains. Only these are tried again: whatever else fails now and then is as wrong as if it always
 * failed. The first line counts, since logs may follow. What `expect` says is never one, `expect.poll` neither: it does not tell late from wrong.
 */
export const TIME_LIMIT = new RegExp(`^(?!expected |${MUST_COME.join('|')})(${TOO_LATE.join('|')})`);
export const RETRY = { count: 1, condition: TIME_LIMIT } as const;
