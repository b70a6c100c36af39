import { ImageError } from './outcome.ts';

export interface StallTimer {
  /** Starts the time anew: the peer owes the next frame from now on. */
  restart(): void;
  /** A frame has come: the time starts anew, unless it was stopped. */
  turn(): void;
  /** The peer owes nothing (we paused it, or we work). */
  stop(): void;
}

/** Fires when a whole frame takes too long. It is restarted by frames, never by bytes: a trickle is as dead as silence. */
export function stallTimer(ms: number, onStall: (error: ImageError) => void): StallTimer {
  let timer: NodeJS.Timeout | undefined;
  const stop = (): void => {
    clearTimeout(timer);
    timer = undefined;
  };
  return {
    restart() {
      if (timer !== undefined) {
        timer.refresh();
        return;
      }
      timer = setTimeout(() => {
        timer = undefined;
        onStall(new ImageError('LINK_STALLED', { expected: `a frame within ${ms} ms` }));
      }, ms);
    },
    turn: () => void timer?.refresh(),
    stop,
  };
}
