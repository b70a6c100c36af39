import type { Journal } from '@carnet/journal';
import type { Log } from '@carnet/runtime';
import type { BrokerIdentity } from './identity.ts';

/** The key file is looked at this often, in ms. */
const LOOK_MS = 2_000;
/** An overlap that is over is ended this often, in ms, although nothing is appended. */
const TEND_MS = 30_000;

/** Announces a changed event key soon, and ends the one before it in time: even where nothing else is said for weeks. */
export function tendEventKeys(
  identity: Pick<BrokerIdentity, 'look'>,
  journal: Pick<Journal, 'tendKeys'>,
  log: Log,
): { readonly stop: () => Promise<void> } {
  let work: Promise<void> = Promise.resolve();
  let looks = 0;
  const timer = setInterval(() => {
    looks += 1;
    const isDue = looks % (TEND_MS / LOOK_MS) === 0;
    if (identity.look() === 'same' && !isDue) return;
    work = work
      .then(journal.tendKeys)
      .catch((cause: unknown) => log.error({ err: cause }, 'could not say in the ledgers what is owed of our event keys'));
  }, LOOK_MS);
  timer.unref();
  return {
    stop: async () => {
      clearInterval(timer);
      await work;
    },
  };
}
