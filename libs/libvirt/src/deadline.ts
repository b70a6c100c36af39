import { TIMER_MS_MAX } from './limits.ts';

/** How one call may end early; both are optional for the caller and defaulted by the connection. */
export type CallOptions = {
  /** Aborting rejects the call at once. libvirt has no way to recall a call that was already sent. */
  readonly signal?: AbortSignal;
  /** Milliseconds from the call to its answer, waiting for a place in the queue included. */
  readonly timeoutMs?: number;
};

export type EarlyEnd = { readonly code: 'CALL_TIMEOUT' | 'CALL_ABORTED'; readonly message: string; readonly cause?: unknown };

/**
 * Calls `onEnd` at most once, when the time is over or the signal fires (at once if it already has).
 * Returns the function that disarms it.
 */
export function armDeadline(
  timeoutMs: number | undefined,
  signal: AbortSignal | undefined,
  onEnd: (end: EarlyEnd) => void,
): () => void {
  const disarm = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', aborted);
  };
  const end = (reason: EarlyEnd): void => {
    disarm();
    onEnd(reason);
  };
  const aborted = (): void => end(abortion(signal?.reason));
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(
          () => end({ code: 'CALL_TIMEOUT', message: `no answer within ${timeoutMs} ms` }),
          Math.min(timeoutMs, TIMER_MS_MAX),
        );
  if (signal?.aborted === true) aborted();
  else signal?.addEventListener('abort', aborted, { once: true });
  return disarm;
}

/** What an abort means: the reason of `AbortSignal.timeout` is a time-out by another road. */
export function abortion(reason: unknown): EarlyEnd {
  return reason instanceof DOMException && reason.name === 'TimeoutError'
    ? { code: 'CALL_TIMEOUT', message: 'the time set by the caller is over', cause: reason }
    : { code: 'CALL_ABORTED', message: 'aborted by the caller', cause: reason };
}
