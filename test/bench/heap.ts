import { existsSync } from 'node:fs';
import type { Clouds } from '../faults/harness/clouds.ts';

/** What the heap of each broker may hold, in MiB. One that needs more dies, and with it the benchmark: what a broker keeps is bounded. */
export const HEAP_MIB = 256;

/** @throws when a broker has ended, for whoever waits for what it should do */
export function mustBeUp({ a, b }: Pick<Clouds, 'a' | 'b'>): void {
  for (const { plan, broker } of [a, b])
    if (!existsSync(`/proc/${broker.pid}`)) throw new Error(`the broker of ${plan.domain} has ended: ${broker.logFile}`);
}
