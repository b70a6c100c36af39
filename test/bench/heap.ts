import type { Clouds } from '../faults/harness/clouds.ts';
import { residentOf } from './processes.ts';

/** Old space of V8 that each broker may fill, in MiB: one that keeps more objects dies. */
export const HEAP_MIB = 256;
/** All that each may have resident, in MiB: code, threads, young objects and bytes of messages lie outside of that. */
const RESIDENT_MIB_MAX = 704;

/**
 * For whoever waits for what brokers should do: what each keeps is bounded.
 *
 * @throws when one has ended, or has grown beyond its bound
 */
export function mustBeBounded({ a, b }: Pick<Clouds, 'a' | 'b'>): void {
  for (const { plan, broker } of [a, b])
    if (peakOf(broker.pid) > RESIDENT_MIB_MAX)
      throw new Error(`the broker of ${plan.domain} has ended, or took more than ${RESIDENT_MIB_MAX} MiB: ${broker.logFile}`);
}

function peakOf(pid: number): number {
  try {
    return residentOf(pid).peakMiB;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
