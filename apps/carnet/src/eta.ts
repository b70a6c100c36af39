/** How much of a new measurement goes into the rate: steady enough to read, quick enough to follow a slow link. */
const NEW_SHARE = 0.2;
/** Measurements before a prediction is shown: the first seconds of a transfer predict nothing. */
const MEASUREMENTS_MIN = 5;

export interface Measurement {
  readonly step: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond: number;
}

/** Seconds left of this phase, smoothed; `undefined` while it would be a guess. Starts anew with each phase. */
export function createEta(): (measured: Measurement) => number | undefined {
  let step = '';
  let rate = 0;
  let measurements = 0;
  return (measured) => {
    if (measured.step !== step) [step, rate, measurements] = [measured.step, measured.bytesPerSecond, 0];
    measurements += 1;
    rate += (measured.bytesPerSecond - rate) * NEW_SHARE;
    if (measurements < MEASUREMENTS_MIN || rate <= 0) return undefined;
    return Math.ceil((measured.totalBytes - measured.doneBytes) / rate);
  };
}
