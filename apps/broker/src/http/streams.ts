import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { trustDomain } from '@carnet/events';
import type { Role } from '@carnet/policy';
import { z } from 'zod';
import type { ServiceRefusal } from '../service/result.ts';
import type { BrokerService } from '../service/service.ts';
import type { StillAdmitted } from './admitted.ts';
import type { AppPorts, Reply, Request } from './app.ts';
import { CURSOR_CHARS_MAX, FOLLOW_BATCH, JUDGED_FOR_MS, KEEPALIVE_MS } from './limits.ts';
import { invalid } from './route.ts';

export const streamRoles = {
  follow: ['viewer', 'operator', 'scheduler', 'auditor'],
  export: ['auditor', 'operator'],
} as const satisfies Record<string, readonly Role[]>;

export const followQuery = z.strictObject({ after: z.string().max(CURSOR_CHARS_MAX).optional() });
export const exportQuery = z.strictObject({ peer: trustDomain.optional() });

type Refuse = (refusal: ServiceRefusal) => Reply;
/** `still`: asked again and again while the stream lasts. */
interface Door {
  readonly refuse: Refuse;
  readonly still: StillAdmitted;
}
type Ports = Pick<AppPorts, 'service' | 'log'>;

const JSON_LINES = { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' };
const EVENT_STREAM = { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' };

/** Server-sent events: every ledger entry from the cursor on, then live. `id` is the cursor, for `Last-Event-ID`. */
export async function followEvents({ service, log }: Ports, request: Request, reply: Reply, door: Door): Promise<Reply> {
  const { refuse, still } = door;
  const query = followQuery.safeParse(request.query);
  if (!query.success) return refuse(invalid('query', query.error));
  // A browser that reconnects sends the header; whoever starts says where in the query.
  const header = request.headers['last-event-id'];
  const cursor = (typeof header === 'string' ? header : undefined) ?? query.data.after ?? '';
  reply.hijack();
  reply.raw.writeHead(200, EVENT_STREAM);
  // The head goes out at once: a reader of a quiet ledger must see that it is connected.
  reply.raw.flushHeaders();
  try {
    await sendEntries({ service, still, cursor }, reply.raw);
  } catch (cause) {
    log.error({ err: cause }, 'follow failed');
  }
  // The reader comes back by itself, from its cursor.
  reply.raw.end();
  return reply;
}

interface Following {
  readonly service: BrokerService;
  readonly still: StillAdmitted;
  readonly cursor: string;
}

async function sendEntries({ service, still, cursor: from }: Following, out: ServerResponse): Promise<void> {
  let cursor = from;
  let wake: () => void = () => undefined;
  const unsubscribe = service.onChange(() => wake());
  out.once('close', () => wake());
  try {
    while (!out.destroyed) {
      // Armed before reading, so that what comes to stand meanwhile is not slept over.
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const refused = await still();
      // A comment: readers come back from their cursor, and are told at the door.
      if (refused !== undefined) return void (await write(out, `: ${refused.code}\n\n`));
      const entries = await service.events({ after: cursor, limit: FOLLOW_BATCH });
      for (const entry of entries) {
        await write(out, `id: ${entry.cursor}\nevent: ledger-entry\ndata: ${JSON.stringify(entry)}\n\n`);
        cursor = entry.cursor;
      }
      if (entries.length > 0) continue;
      const timer = setTimeout(() => wake(), Math.min(KEEPALIVE_MS, JUDGED_FOR_MS));
      await woken;
      clearTimeout(timer);
      await write(out, ': keepalive\n\n');
    }
  } finally {
    unsubscribe();
  }
}

/** Newline-delimited JSON of every envelope exactly as chained, for the auditor. */
export async function exportLedgers({ service, log }: Ports, request: Request, reply: Reply, door: Door): Promise<Reply> {
  const { refuse, still } = door;
  const query = exportQuery.safeParse(request.query);
  if (!query.success) return refuse(invalid('query', query.error));
  const { peer } = query.data;
  // An export of nothing would verify; a misspelt peer must not look like a clean one.
  if (peer !== undefined && !(await service.peers()).some(({ domain }) => domain === peer))
    return refuse({ ok: false, code: 'PEER_UNKNOWN', text: `there is no agreement with ${peer}` });
  reply.hijack();
  reply.raw.writeHead(200, JSON_LINES);
  try {
    for await (const line of service.exportLedgers(peer)) {
      if (reply.raw.destroyed) return reply;
      if ((await still()) !== undefined) throw new Error('whoever asked for the export is not admitted any more');
      await write(reply.raw, `${line}\n`);
    }
    reply.raw.end();
  } catch (cause) {
    log.error({ err: cause }, 'export failed');
    // A cut connection cannot be taken for a whole export; an orderly end could.
    reply.raw.destroy();
  }
  return reply;
}

/** Waits for a slow reader instead of holding its backlog in memory. */
async function write(out: ServerResponse, text: string): Promise<void> {
  if (out.destroyed || out.write(text)) return;
  const settled = new AbortController();
  try {
    await Promise.race([once(out, 'drain', settled), once(out, 'close', settled)]);
  } finally {
    // The one that did not come takes its listener with it.
    settled.abort();
  }
}
