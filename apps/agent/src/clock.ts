import { setTimeout as sleep } from 'node:timers/promises';
import { timestamp } from '@carnet/events';
import type { Clock } from '@carnet/hypervisor';

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => timestamp.parse(new Date().toISOString()),
  sleep: async (ms, signal) => {
    await sleep(ms, undefined, { signal });
  },
};
