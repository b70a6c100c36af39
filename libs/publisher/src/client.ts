import { Agent, type RequestOptions, request } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { ANSWER_BYTES_MAX, ANSWER_MS_MAX, RETRY_MS_FIRST, TRIES_MAX } from './limits.ts';
import { lines, serverSentEvents } from './stream.ts';

/** A broker's refusal as it came, or `UNREACHABLE` when none came. */
export interface Refused {
  readonly ok: false;
  readonly code: string;
  readonly text: string;
  readonly reasons?: readonly { readonly code: string; readonly text: string }[];
}
export type Answer<T> = { readonly ok: true; readonly value: T } | Refused;

/** How to reach one's own broker. Buffers hold PEM. */
export interface BrokerAddress {
  readonly url: string;
  /** Name in the broker's certificate, e.g. `broker.csp-a.example`. */
  readonly serverName: string;
  /** The federation root. */
  readonly ca: Buffer | string;
  readonly credentials:
    | { readonly kind: 'certificate'; readonly certificate: Buffer | string; readonly key: Buffer | string }
    | { readonly kind: 'token'; readonly token: string };
}

export interface BrokerClient {
  readonly get: <T>(path: string) => Promise<Answer<T>>;
  /** Everything a broker takes by POST is safe to repeat, so this retries when the broker cannot be reached. */
  readonly post: <T>(path: string, body: unknown, contentType?: string) => Promise<Answer<T>>;
  readonly delete: <T>(path: string) => Promise<Answer<T>>;
  /** Ledger entries after `cursor`, then live, until the signal; `''` is the beginning. Reconnects by itself and goes on where it was. */
  readonly follow: <T>(cursor: string, signal?: AbortSignal) => AsyncIterable<T>;
  /** Newline-delimited JSON, line by line; a cut stream throws. */
  readonly lines: (path: string, signal?: AbortSignal) => AsyncIterable<string>;
  readonly close: () => void;
}

const unreachable = (url: string, cause: unknown): Refused => ({
  ok: false,
  code: 'UNREACHABLE',
  text: `${url}: ${cause instanceof Error ? cause.message || cause.name : String(cause)}`,
});

/** A client of one broker: TLS 1.3, its certificate checked against the federation root, answers bounded in size and time. */
export function connectBroker(address: BrokerAddress): BrokerClient {
  const { credentials } = address;
  const agent = new Agent({
    keepAlive: true,
    maxSockets: 8,
    minVersion: 'TLSv1.3',
    ca: address.ca,
    servername: address.serverName,
    ...(credentials.kind === 'certificate' ? { cert: credentials.certificate, key: credentials.key } : {}),
  });
  const options = (method: string, headers: Record<string, string>): RequestOptions => ({
    agent,
    method,
    headers: { ...headers, ...(credentials.kind === 'token' ? { authorization: `Bearer ${credentials.token}` } : {}) },
  });
  const open = (method: string, path: string, headers: Record<string, string>, body?: string, signal?: AbortSignal): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const outgoing = request(new URL(path, address.url), { ...options(method, headers), ...(signal === undefined ? {} : { signal }) }, resolve);
      outgoing.on('error', reject);
      outgoing.end(body);
    });

  const once = async <T>(method: string, path: string, body?: string, contentType = 'application/json'): Promise<Answer<T>> => {
    const headers: Record<string, string> = body === undefined ? {} : { 'content-type': contentType, 'content-length': String(Buffer.byteLength(body)) };
    try {
      const signal = AbortSignal.timeout(ANSWER_MS_MAX);
      const response = await open(method, path, headers, body, signal);
      const text = await collect(response);
      return answerOf<T>(response.statusCode ?? 0, text);
    } catch (cause) {
      return unreachable(address.url, cause);
    }
  };
  const repeated = async <T>(attempt: () => Promise<Answer<T>>): Promise<Answer<T>> => {
    for (let tries = 1; ; tries++) {
      const answer = await attempt();
      if (answer.ok || answer.code !== 'UNREACHABLE' || tries >= TRIES_MAX) return answer;
      await sleep(RETRY_MS_FIRST * 2 ** (tries - 1));
    }
  };
  const stream = async (path: string, headers: Record<string, string>, signal?: AbortSignal): Promise<IncomingMessage> => {
    const response = await open('GET', path, headers, undefined, signal);
    if (response.statusCode === 200) return response;
    const refused = answerOf<never>(response.statusCode ?? 0, await collect(response));
    throw new StreamRefused(refused.ok ? { ok: false, code: 'INTERNAL', text: 'unexpected answer' } : refused);
  };

  return {
    get: (path) => repeated(() => once('GET', path)),
    post: (path, body, contentType) => repeated(() => once('POST', path, JSON.stringify(body), contentType)),
    delete: (path) => repeated(() => once('DELETE', path)),
    follow: (cursor, signal) => follow((from) => stream('/v1/follow', from === '' ? {} : { 'last-event-id': from }, signal), cursor, signal),
    lines: async function* (path, signal) {
      yield* lines(await stream(path, {}, signal));
    },
    close: () => agent.destroy(),
  };
}

/** A stream that the broker refused to open. */
export class StreamRefused extends Error {
  override readonly name = 'StreamRefused';
  readonly refused: Refused;
  constructor(refused: Refused) {
    super(`${refused.code}: ${refused.text}`);
    this.refused = refused;
  }
}

async function* follow<T>(open: (cursor: string) => Promise<IncomingMessage>, from: string, signal?: AbortSignal): AsyncGenerator<T> {
  let cursor = from;
  let wait = RETRY_MS_FIRST;
  const stopped = (): boolean => signal?.aborted === true;
  while (!stopped()) {
    try {
      for await (const { id, data } of serverSentEvents(await open(cursor))) {
        cursor = id;
        wait = RETRY_MS_FIRST;
        yield JSON.parse(data) as T;
      }
    } catch (cause) {
      if (cause instanceof StreamRefused) throw cause;
      if (stopped()) return;
    }
    await sleep(wait, undefined, { ...(signal === undefined ? {} : { signal }) }).catch(() => undefined);
    wait = Math.min(wait * 2, 5_000);
  }
}

async function collect(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`answer exceeds ${ANSWER_BYTES_MAX} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function answerOf<T>(status: number, text: string): Answer<T> {
  const body: unknown = JSON.parse(text);
  if (status >= 200 && status < 300) return { ok: true, value: body as T };
  const { code, text: sentence, reasons } = body as Partial<Refused>;
  return { ok: false, code: code ?? 'INTERNAL', text: sentence ?? `HTTP ${status}`, ...(reasons === undefined ? {} : { reasons }) };
}
