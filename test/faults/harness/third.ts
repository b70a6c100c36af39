import { setTimeout as sleep } from 'node:timers/promises';
import type { CspPlan } from '../../../infra/dev/src/clouds/layout.ts';
import type { Cloud } from './cloud.ts';
import { CSP_C } from './flooder.ts';

export const PLAN_C: CspPlan = {
  key: 'c',
  domain: CSP_C,
  user: 'carnet-c',
  hostUuid: '0c0c0c0c-cccc-4ccc-8ccc-00000000000c',
};

type Processes = Pick<Cloud, 'broker' | 'agent'>;

/** Its broker and its host stand still, in whatever they are at; connections stay open, and nothing is read from them. */
export const freeze = ({ broker, agent }: Processes): Promise<unknown> =>
  Promise.all([broker, agent].map((one) => one.kill('SIGSTOP')));
export const thaw = ({ broker, agent }: Processes): Promise<unknown> =>
  Promise.all([broker, agent].map((one) => one.kill('SIGCONT')));

const LOOK_MS = 50;
/** It may have nothing to say. */
const RUN_MS_MAX = 10_000;

/** From now on it stands still for so long after each thing that it says: `said` counts them. `end` leaves it running. */
export function slowDown(cloud: Processes, pauseMs: number, said: () => Promise<number>): { readonly end: () => Promise<void> } {
  let slow = true;
  const saysMore = async (): Promise<void> => {
    const [before, untilMs] = [await said(), performance.now() + RUN_MS_MAX];
    while (slow && performance.now() < untilMs && (await said()) === before) await sleep(LOOK_MS);
  };
  const going = (async () => {
    while (slow) {
      await freeze(cloud);
      await sleep(pauseMs);
      await thaw(cloud);
      await saysMore();
    }
  })();
  return {
    end: async () => {
      slow = false;
      await going;
    },
  };
}
