import type { Clock } from './clock.ts';
import { RATE_SLEEP_MS_MAX } from './limits.ts';

export interface TokenBucket {
  /** Spends so many bytes and returns how long to pause before the next ones, in milliseconds. */
  spend(bytes: number): number;
}

/** No limit. */
export const unlimited: TokenBucket = { spend: () => 0 };

/**
 * A rate limit with one second of burst. Spending may overdraw; the pause repays it. No pause is longer than
 * RATE_SLEEP_MS_MAX, so a rate far below a chunk per pause is rounded up rather than taken for a dead peer.
 */
export function tokenBucket(bytesPerSecond: number, clock: Clock): TokenBucket {
  if (!(bytesPerSecond > 0)) throw new RangeError(`expected a rate above 0 bytes/s, got ${bytesPerSecond}`);
  let tokens = bytesPerSecond;
  let filledAt = clock.nowMs();
  return {
    spend(bytes) {
      const now = clock.nowMs();
      tokens = Math.min(bytesPerSecond, tokens + ((now - filledAt) * bytesPerSecond) / 1_000);
      filledAt = now;
      tokens -= bytes;
      if (tokens >= 0) return 0;
      const owedMs = (-tokens * 1_000) / bytesPerSecond;
      if (owedMs <= RATE_SLEEP_MS_MAX) return owedMs;
      tokens = (-RATE_SLEEP_MS_MAX * bytesPerSecond) / 1_000;
      return RATE_SLEEP_MS_MAX;
    },
  };
}
