import { DRAIN_MS_MAX } from './limits.ts';
import type { Log } from './log.ts';

/**
 * Until the answer is called, SIGTERM and SIGINT end the process at once with 0: a start has nothing to drain, and may wait for long.
 * Explicit, since process 1 of a container would ignore them.
 */
export function leaveOnSignals(log: Log): () => void {
  const leave = (signal: NodeJS.Signals): void => {
    log.info({ signal }, 'leaving while starting');
    process.exit(0);
  };
  process.on('SIGTERM', leave);
  process.on('SIGINT', leave);
  return () => {
    process.off('SIGTERM', leave);
    process.off('SIGINT', leave);
  };
}

/**
 * Runs `stop` once on SIGTERM or SIGINT and leaves with 0, or with 1 when it takes longer than `DRAIN_MS_MAX`.
 * A second signal leaves at once: crash recovery is the ordinary start.
 */
export function drainOnSignals(log: Log, stop: () => Promise<void>): void {
  let stopping = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(1);
    stopping = true;
    log.info({ signal }, 'draining');
    setTimeout(() => {
      log.warn({ ms: DRAIN_MS_MAX }, 'drain took too long');
      process.exit(1);
    }, DRAIN_MS_MAX).unref();
    stop().then(
      () => process.exit(0),
      (cause: unknown) => {
        log.error({ err: cause }, 'drain failed');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
}
