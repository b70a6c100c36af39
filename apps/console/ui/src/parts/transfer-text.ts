import type { Progress } from '../live/rows.ts';
import { bytes, duration } from './amounts.ts';

/** Below this share of the work the rate says little: no prediction yet. */
const PREDICT_FROM = 0.03;

/** Bytes, rate and what is left of this step; `~` marks a guess. */
export function transferText({ doneBytes, totalBytes, bytesPerSecond }: Progress): string {
  const share = totalBytes === 0 ? 0 : doneBytes / totalBytes;
  const left =
    bytesPerSecond > 0 && share >= PREDICT_FROM && share < 1
      ? ` · ~${duration(((totalBytes - doneBytes) / bytesPerSecond) * 1_000)} left`
      : '';
  return `${bytes(doneBytes)} of ${bytes(totalBytes)}${bytesPerSecond > 0 ? ` · ${bytes(bytesPerSecond)}/s` : ''}${left}`;
}
