import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { SECURITY_HEADERS } from './headers.ts';
import type { LedgerFeed } from './ledger-feed.ts';

/**
 * Server-sent events for one browser. `ledger-entry`: one entry, its `id` the cursor. `feed`: health of the data. `reset`:
 * what lies between `Last-Event-ID` and now is no longer kept, so read everything anew. Without `Last-Event-ID`: from now on.
 */
export async function relayFeed(feed: LedgerFeed, response: ServerResponse, lastEventId: string | undefined): Promise<void> {
  let wake = (): void => undefined;
  const gone = new AbortController();
  response.once('close', () => {
    gone.abort();
    wake();
  });
  const unsubscribe = feed.onChange(() => wake());
  response.writeHead(200, { ...SECURITY_HEADERS, 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  // An unknown cursor stands before everything that is kept.
  let next = lastEventId === undefined ? feed.recent.end : (feed.recent.after(lastEventId) ?? -1);
  try {
    while (!response.destroyed) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const reading = feed.recent.from(next);
      next = reading.next;
      const entries =
        reading.kind === 'lost'
          ? ['event: reset\ndata: {}\n\n']
          : reading.entries.map((entry) => `id: ${entry.cursor}\nevent: ledger-entry\ndata: ${entry.json}\n\n`);
      const text = [...entries, `event: feed\ndata: ${JSON.stringify(feed.health())}\n\n`].join('');
      if (!response.write(text)) await once(response, 'drain', { signal: gone.signal }).catch(() => undefined);
      await woken;
    }
  } finally {
    unsubscribe();
    response.end();
  }
}
