import type { KeyManager } from '@carnet/keys';
import type { Log } from '@carnet/runtime';
import { untilStopped } from './settling.ts';

/** Between two looks. Each replica makes and erases its own spares at once; a look is for what other replicas did, and for a rotation. */
const SETTLE_MS = 60_000;

/** Keeps this replica's spares in step with our records. Answers how to stop. */
export const keepSpares = (keys: Pick<KeyManager, 'settleSpares'>, log: Log): (() => Promise<void>) =>
  untilStopped(async () => {
    try {
      const { made, erased } = await keys.settleSpares();
      if (made + erased > 0) log.info({ made, erased }, 'spares settled');
    } catch (cause) {
      log.warn({ err: cause }, 'spares could not be settled');
    }
    return SETTLE_MS;
  });
