import type { Clock } from './clock.ts';
import { PROGRESS_MS } from './limits.ts';

export interface Progress {
  /** Verified bytes at hand, those of an earlier attempt included; holes never count. */
  readonly bytes: number;
  readonly totalBytes: number;
  /** Smoothed over the last seconds. */
  readonly bytesPerSecond: number;
}

/** Share of the newest interval in the smoothed rate. */
const NEWEST = 0.3;

/** Reports at most every PROGRESS_MS, and always the end. */
export function progressMeter(
  totalBytes: number,
  startBytes: number,
  clock: Clock,
  report: (progress: Progress) => void,
): (bytes: number) => void {
  let bytes = startBytes;
  let rate = 0;
  let reportedAt = clock.nowMs();
  let reportedBytes = startBytes;
  return (more) => {
    bytes += more;
    const now = clock.nowMs();
    if (now - reportedAt < PROGRESS_MS && bytes < totalBytes) return;
    const current = ((bytes - reportedBytes) * 1_000) / Math.max(1, now - reportedAt);
    rate = rate === 0 ? current : rate * (1 - NEWEST) + current * NEWEST;
    reportedAt = now;
    reportedBytes = bytes;
    report({ bytes, totalBytes, bytesPerSecond: Math.round(rate) });
  };
}
