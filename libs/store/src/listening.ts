import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type ClientConfig, escapeIdentifier } from 'pg';
import { LISTEN_ANSWER_MS_MAX, RELISTEN_MS_FIRST, RELISTEN_MS_MAX } from './limits.ts';
import type { StoreLog } from './store.ts';

/** Listens on a connection of its own and opens a new one when it is lost. */
export async function listenOn(
  connection: ClientConfig,
  log: StoreLog,
  channel: string,
  heard: (payload: string) => void,
): Promise<() => Promise<void>> {
  const stopping = new AbortController();
  let current: Client;

  const open = async (): Promise<void> => {
    const client = new Client({ ...connection, query_timeout: LISTEN_ANSWER_MS_MAX });
    let over = false;
    const lost = (): void => {
      if (over) return;
      over = true;
      if (!stopping.signal.aborted) void reopen();
    };
    client.on('notification', ({ payload }) => heard(payload ?? ''));
    client.on('error', (cause) =>
      log.warn({ code: 'STORE_UNREACHABLE', channel, cause: cause.message }, 'listening connection lost'),
    );
    try {
      await client.connect();
      await client.query(`listen ${escapeIdentifier(channel)}`);
    } catch (cause) {
      over = true;
      await client.end().catch(() => undefined);
      throw cause;
    }
    client.on('end', lost);
    current = client;
  };

  const reopen = async (): Promise<void> => {
    for (let pauseMs = RELISTEN_MS_FIRST; !stopping.signal.aborted; pauseMs = Math.min(pauseMs * 2, RELISTEN_MS_MAX)) {
      try {
        await sleep(pauseMs, undefined, { signal: stopping.signal });
        await open();
      } catch {
        // Still down, or stopping: the loop's own condition decides.
        continue;
      }
      if (stopping.signal.aborted) await current.end();
      // What was said meanwhile was said to nobody.
      else heard('');
      return;
    }
  };

  await open();
  return async () => {
    stopping.abort();
    await current.end().catch(() => undefined);
  };
}
