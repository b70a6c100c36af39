import { once } from 'node:events';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AppPorts } from './app.ts';

/** Events read at once while following; the reader's socket sets the pace. */
const FOLLOW_BATCH = 200;
/** Comment lines keep proxies and dead-connection detection awake. */
const KEEPALIVE_MS = 15_000;

const write = async (reply: FastifyReply, text: string): Promise<void> => {
  if (!reply.raw.write(text) && !reply.raw.destroyed) await Promise.race([once(reply.raw, 'drain'), once(reply.raw, 'close')]);
};

/** Where the reader wants to go on: SSE's own header first, then `?after=`. */
const startCursor = (request: FastifyRequest): string => {
  const header = request.headers['last-event-id'];
  const query = request.query as { readonly after?: string };
  return (typeof header === 'string' ? header : undefined) ?? query.after ?? '';
};

/** Server-sent events: every ledger entry from the cursor on, then live. `id` is the cursor, for `Last-Event-ID`. */
export async function followEvents(ports: AppPorts, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  reply.hijack();
  reply.raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
  let cursor = startCursor(request);
  let wake: () => void = () => undefined;
  const unsubscribe = ports.service.onChange(() => wake());
  try {
    while (!reply.raw.destroyed) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const entries = await ports.service.events({ after: cursor, limit: FOLLOW_BATCH });
      for (const entry of entries) {
        await write(reply, `id: ${entry.cursor}\nevent: ledger-entry\ndata: ${JSON.stringify(entry)}\n\n`);
        cursor = entry.cursor;
      }
      if (entries.length > 0) continue;
      const timer = setTimeout(() => wake(), KEEPALIVE_MS);
      await Promise.race([woken, once(reply.raw, 'close')]);
      clearTimeout(timer);
      await write(reply, ': keepalive\n\n');
    }
  } finally {
    unsubscribe();
    reply.raw.end();
  }
}

/** Newline-delimited JSON of every envelope exactly as chained, for the auditor. */
export async function exportLedgers(ports: AppPorts, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  reply.hijack();
  reply.raw.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
  const { peer } = request.query as { readonly peer?: string };
  try {
    for await (const line of ports.service.exportLedgers(peer)) {
      if (reply.raw.destroyed) return;
      await write(reply, `${line}\n`);
    }
    reply.raw.end();
  } catch (cause) {
    ports.log.error({ err: cause }, 'export failed');
    // A cut connection cannot be taken for a whole export; an orderly end could.
    reply.raw.destroy();
  }
}
