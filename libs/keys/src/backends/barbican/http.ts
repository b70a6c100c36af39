import type { IncomingMessage } from 'node:http';
import { request as secure } from 'node:https';
import { EXCHANGE_MS_MAX, REPLY_BYTES_MAX } from '../../limits.ts';

/**
 * Not imported: a module that imports `node:http` is given all its names, and one of them (`WebSocket`) loads undici. That is a fifth of what a key
 * child's start costs, and it starts for every few operations.
 */
const { request: plain } = process.getBuiltinModule('node:http');

export type Outgoing = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** PEM of the CAs to trust instead of the runtime's. */
  readonly ca?: string;
  readonly timeoutMs?: number;
};

/** `body` is in a buffer of its own: the caller may zero it. */
export type Incoming = {
  readonly status: number;
  readonly contentType: string;
  readonly header: (name: string) => string | undefined;
  readonly body: Buffer;
};

/**
 * One HTTP exchange, or `undefined` when no whole answer came: refused, cut off, too slow, too large. Not `fetch`: it has no way to trust a
 * private CA, and turns bodies into copies that nobody can zero. Redirects are answers like others: a secret is sent to one address only.
 */
export function exchange({
  method,
  url,
  headers,
  body,
  ca,
  timeoutMs = EXCHANGE_MS_MAX,
}: Outgoing): Promise<Incoming | undefined> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const lengths = body === undefined ? {} : { 'content-length': String(body.length) };
    const options = { method, headers: { ...headers, ...lengths, connection: 'close' }, signal, agent: false as const };
    const answered = (response: IncomingMessage): void => {
      void read(response).then(resolve, () => resolve(undefined));
    };
    const sent = url.startsWith('https:')
      ? secure(url, { ...options, minVersion: 'TLSv1.3', ...(ca === undefined ? {} : { ca }) }, answered)
      : plain(url, options, answered);
    sent.on('error', () => resolve(undefined));
    sent.on('upgrade', (_response, socket) => {
      socket.destroy();
      resolve(undefined);
    });
    sent.end(body);
  });
}

async function read(response: IncomingMessage): Promise<Incoming | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) return undefined;
    bytes += chunk.length;
    chunks.push(chunk);
    if (bytes > REPLY_BYTES_MAX) {
      response.destroy();
      return undefined;
    }
  }
  const body = Buffer.alloc(bytes);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
    chunk.fill(0);
  }
  return {
    status: response.statusCode ?? 0,
    contentType: response.headers['content-type'] ?? '',
    header: (name) => {
      const value = response.headers[name];
      return typeof value === 'string' ? value : undefined;
    },
    body,
  };
}
