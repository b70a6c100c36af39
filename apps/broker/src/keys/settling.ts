import type { KeyManager } from '@carnet/keys';
import type { Log } from '@carnet/runtime';

/** Between two looks at what another key manager should be told; a look without news is one query. */
const SETTLE_MS = 1_000;
/** After trouble: whatever it was, it is not helped by haste. */
const SETTLE_AGAIN_MS = 15_000;

/**
 * Keeps the key manager that has our DEKs in step with our records, beside the migrations: metadata and consumers of keys that arrived,
 * and the end of keys that were destroyed. Answers how to stop.
 */
export function keepSettling(keys: Pick<KeyManager, 'settleSecrets'>, log: Log): () => Promise<void> {
  return untilStopped(async () => {
    try {
      const { kept, destroyed, refused } = await keys.settleSecrets();
      if (kept + destroyed > 0) log.info({ kept, destroyed }, 'secrets settled');
      for (const { code, text } of refused) log.warn({ code }, text);
      return refused.length === 0 ? SETTLE_MS : SETTLE_AGAIN_MS;
    } catch (cause) {
      log.warn({ err: cause }, 'secrets could not be settled');
      return SETTLE_AGAIN_MS;
    }
  });
}

/** `round` again and again; it answers after how many ms. Answers how to stop. */
export function untilStopped(round: () => Promise<number>): () => Promise<void> {
  const stopping = new AbortController();
  const running = (async () => {
    while (!stopping.signal.aborted) await pause(await round(), stopping.signal);
  })();
  return async () => {
    stopping.abort();
    await running;
  };
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
    return undefined;
  });
